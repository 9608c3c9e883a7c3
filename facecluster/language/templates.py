"""A language in Jinja templates: t, tn, tp and {% trans %}; the filters number, percent, date and size.

What stands in a template or a catalogue is trusted, and may hold tags; values are escaped.
"""

from __future__ import annotations

from typing import Any

import jinja2
from markupsafe import Markup

from facecluster.language.language import Language


def environment(package: str, language: Language, folder: str = "templates") -> jinja2.Environment:
    """The environment for the templates in a folder of a package, in a language."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    env.policies["ext.i18n.trimmed"] = True
    env.install_gettext_callables(language.form, language.plural_form, newstyle=True)  # type: ignore[attr-defined]
    env.filters |= {"number": language.number, "percent": language.percent, "date": language.date, "size": language.size}

    def t(text: str, /, **values: Any) -> Markup:
        return Markup(language.form(text)) % values

    def tp(context: str, text: str, /, **values: Any) -> Markup:
        return Markup(language.form(text, context)) % values

    def tn(one: str, many: str, n: int, /, **values: Any) -> Markup:
        return Markup(language.plural_form(one, many, n)) % {"n": language.number(n), **values}

    env.globals |= {"t": t, "tn": tn, "tp": tp, "lang": language.tag}
    return env
