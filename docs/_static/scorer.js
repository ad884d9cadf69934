// How a search reads what was typed, and which page answers best. Sphinx loads this before its own code for searching.

const stemsOf = (text) => {
  const words = text.toLowerCase().match(/[\p{Letter}\p{Number}_]{3,}/gu) || [];
  const stemmer = new Stemmer();
  return words.filter((word) => !stopwords.has(word) && !/^\d+$/.test(word)).map((word) => stemmer.stemWord(word));
};

// The pages that hold a word; as in Sphinx's own search, a part of a word will do where no page has it whole.
const pagesWith = (stem) => {
  const whole = (words) => (Object.hasOwn(words, stem) ? [words[stem]] : []);
  const inside = (words) => Object.keys(words).filter((word) => word.includes(stem)).map((word) => words[word]);
  const { terms, titleterms } = Search._index;
  const found = [...whole(terms), ...whole(titleterms)];
  return new Set((found.length ? found : [...inside(terms), ...inside(titleterms)]).flat());
};

// How much a word says: the fewer pages have it, the more.
const weights = new Map();
const weightOf = (stem) => {
  const pages = 1 + Search._index.docnames.length;
  if (!weights.has(stem)) weights.set(stem, Math.log(pages / (pagesWith(stem).size || 1)));
  return weights.get(stem);
};
const weigh = (stems) => stems.reduce((sum, stem) => sum + weightOf(stem), 0);

// What pages say of themselves by Sphinx's directive `index`: the words of their main entries.
const keywords = new Map();
const keywordsOf = (page) => {
  if (!keywords.size) {
    for (const [entry, places] of Object.entries(Search._index.indexentries)) {
      for (const [file, , main] of places) {
        const name = Search._index.docnames[file];
        if (main) keywords.set(name, new Set([...(keywords.get(name) || []), ...stemsOf(entry)]));
      }
    }
  }
  return keywords.get(page) || new Set();
};

const QUESTION = /^(why|how|what|when|which|is|does|do|can|should)\b|\b(my|i)\b|\?$/i;
const MESSAGE = /\w: |\[|'[\w.]+'/;

// Sphinx wants every word on a page. So a pasted message, or a question, would find nothing: it holds the reader's own words.
// Where no page has all words, only those of the best page count: the rarer a word the better, and best a keyword.
var splitQuery = (query) => {
  const words = query.split(/[^\p{Letter}\p{Number}_]+/u).filter(Boolean);
  if (!Search.hasIndex()) return words;
  const { docnames } = Search._index;
  const pages = new Map(stemsOf(query).map((stem) => [stem, pagesWith(stem)]));
  const message = MESSAGE.test(query);
  const complete = docnames.some((_, page) => [...pages.values()].every((found) => found.has(page)));
  if (complete && !message) return words;
  const worth = docnames.map((name, page) => {
    const [found, keys] = [[...pages.keys()].filter((stem) => pages.get(stem).has(page)), keywordsOf(name)];
    const points = weigh(found) + Math.log(docnames.length) * [...pages.keys()].filter((stem) => keys.has(stem)).length;
    return points * (message && name === "errors" ? 2 : 1);
  });
  const best = worth.indexOf(Math.max(...worth));
  return words.filter((word) => stemsOf(word).every((stem) => pages.get(stem).has(best)));
};

var Scorer = {
  score: ([page, title, , , score]) => {
    const query = (new URLSearchParams(location.search).get("q") || "").trim();
    const asked = [...new Set(stemsOf(query))];
    const share = (named) => weigh(asked.filter((stem) => named.has(stem))) / weigh(asked) || 0;
    const [question, long] = [QUESTION.test(query), asked.length > 3];
    const named = new Set(stemsOf(page.startsWith("gallery/") ? `${title} ${page}` : title));
    const all = asked.length > 0 && asked.every((stem) => named.has(stem));
    const titled = 12 * share(named) + (all ? 60 : 0) + (all && named.size === asked.length ? 10 : 0);
    const about = (question ? 36 : 12) * share(keywordsOf(page));
    const pasted = page !== "errors" || !long ? 0 : MESSAGE.test(query) ? 45 : question ? 0 : 26;
    // The ledger holds nearly every word, so it answers a question only by chance.
    const ledger = /^claims(\/|$)/.test(page) && !question && asked.length > 2 ? (page === "claims" ? 45 : 20) : 0;
    const example = page.startsWith("gallery/") && !page.endsWith("/index") ? 1 : 0;
    const term = page === "glossary" ? -90 : 0; // it explains a word that other pages are about
    return score + titled + about + pasted + ledger + example + term;
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

// What stands below a result: what the page, or the section that the result leads to, says first.
addEventListener("DOMContentLoaded", () => {
  Search.makeSearchSummary = (html, _words, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const section = page.getElementById(anchor?.slice(1))?.closest("section");
    const first = section?.parentElement.closest("section") ? section.querySelector("p") : null;
    const words = first?.textContent ?? page.querySelector('meta[name="description"]')?.content;
    if (!words) return null;
    const cut = words.length > 240 ? words.slice(0, 240).replace(/\s+\S*$/, " …") : words;
    return Object.assign(document.createElement("p"), { className: "context", textContent: cut });
  };
});
