// Which page answers best: Sphinx's points for words in text and title, and ours for what kind of page is asked for.
var Scorer = {
  score: ([page, title, , , score]) => {
    const split = (text) => text.toLowerCase().match(/[a-z0-9_]{3,}/g) || [];
    const asked = [...new Set(split(new URLSearchParams(location.search).get("q") || ""))];
    const named = new Set(split(page.startsWith("gallery/") ? `${title} ${page}` : title));
    const share = asked.length ? asked.filter((word) => named.has(word)).length / asked.length : 0;
    const about = 12 * share + (share === 1 ? 60 : 0) + (share === 1 && named.size === asked.length ? 10 : 0);
    const pasted = page === "errors" && asked.length > 3 ? 35 : 0; // a message: longer than what one types
    const statement = asked.length > 2 && /^claims(\/|$)/.test(page) ? (page === "claims" ? 45 : 24) : 0;
    const example = page.startsWith("gallery/") && !page.endsWith("/index") ? 1 : 0;
    const term = page === "glossary" ? -90 : 0; // it explains a word that other pages are about
    return score + about + pasted + statement + example + term;
  },
  objNameMatch: 30, // a name in full is what its reference is for
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
