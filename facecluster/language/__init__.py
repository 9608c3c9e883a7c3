"""The languages of the pages: texts, numbers and dates as their readers write them.

language    Language: a text, a number, a date in one language; which language a user has
po_file     catalogues (gettext's .po), read and written
templates   a language in Jinja templates
script      a language in the scripts of pages, from text.js
catalogue/  the catalogues; English stands in the sources

Three functions have the same names in Python (methods of Language), templates and scripts: t (a text), tn (a text with a number) and
tp (a text in a context). `workflows/build_catalogue.py` finds their texts and puts them into the catalogues.
"""

from facecluster.language.language import AUTO, ENGLISH, LANGUAGES, Language, language_of, mark

__all__ = ["AUTO", "ENGLISH", "LANGUAGES", "Language", "language_of", "mark"]
