/** The texts of a page: `texts` are its language's by their English; `form` gives the number of the plural form for n. */
const speak = ({ tag, texts }, form) => {
  const locale = navigator.languages.find((other) => other.split("-")[0] === tag) || tag; // whose page is German may be from Austria
  const numbers = new Intl.NumberFormat(locale);
  const number = (n) => numbers.format(n);
  const fill = (text, values) => text.replace(/%(?:%|\((\w+)\)s)/g, (_, name) => (name ? values[name] : "%"));
  const t = (text, values = {}) => fill(texts[text]?.[0] ?? text, values);
  const tp = (context, text, values = {}) => fill(texts[`${context}\u0004${text}`]?.[0] ?? text, values);
  const tn = (one, many, n, values = {}) => {
    const forms = texts[one] ?? [one, many];
    return fill(forms[Math.min(form(Math.abs(n)), forms.length - 1)], { n: number(n), ...values });
  };
  const percent = (share) => t("%(share)s %%", { share: number(share >= 1 ? 100 : Math.min(99.9, Math.round(share * 1000) / 10)) });
  const day = (iso) => {
    const [, year, month, date] = iso.match(/^(\d{4})-(\d\d)-(\d\d)$/) || [];
    return date ? tp("date", "%(year)s-%(month)s-%(day)s", { year, month, day: date }) : iso;
  };
  const moment = (date, options = {}) => date.toLocaleString(locale, options);
  return { t, tn, tp, number, percent, day, moment };
};
