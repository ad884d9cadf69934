// What a page gains where scripts run: filters for the ledger and the gallery, and boxes that scroll by keyboard.
// Without scripts everything is there, unfiltered.
"use strict";

const classesWith = (element, prefix) =>
  [...element.classList].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const values = (elements, prefix) => [...new Set([...elements].flatMap((e) => classesWith(e, prefix)))];

function chooser(label, options, changed) {
  const choice = make("select", {}, make("option", { value: "", textContent: "all" }));
  for (const [value, text] of options) choice.append(make("option", { value, textContent: text }));
  choice.addEventListener("change", changed);
  return [make("label", {}, `${label} `, choice), choice];
}

function filterLedger() {
  const entries = document.querySelectorAll(".claim-entry");
  if (!entries.length) return;
  const words = { holds: "✓ holds", fails: "✗ does not hold", open: "? not decidable here", unseen: "not checked here" };
  const count = make("output", {});
  const show = () => {
    let shown = 0;
    for (const entry of entries) {
      entry.hidden =
        (topic.value && !entry.classList.contains(`topic-${topic.value}`)) ||
        (verdict.value && !entry.classList.contains(`verdict-${verdict.value}`));
      shown += !entry.hidden;
    }
    for (const section of new Set([...entries].map((entry) => entry.closest("section")))) {
      section.hidden = !section.querySelector(".claim-entry:not([hidden])");
    }
    count.textContent = `${shown} of ${entries.length} claims`;
  };
  const [topicLabel, topic] = chooser("Topic", values(entries, "topic-").map((t) => [t, t.replaceAll("_", " ")]), show);
  const [verdictLabel, verdict] = chooser("Verdict", values(entries, "verdict-").map((v) => [v, words[v]]), show);
  const first = entries[0].closest("section");
  first.before(make("div", { className: "guide-filter" }, topicLabel, verdictLabel, count));
  show();
}

function filterCards() {
  const cards = document.querySelectorAll(".guide-card.sphx");
  const tags = values(cards, "tag-").sort();
  if (!tags.length) return;
  const chosen = new Set();
  const show = () => {
    for (const card of cards) card.hidden = ![...chosen].every((tag) => card.classList.contains(`tag-${tag}`));
  };
  const bar = make("div", { className: "guide-filter" }, "Show examples about");
  for (const tag of tags) {
    const button = make("button", { type: "button", textContent: tag, ariaPressed: "false" });
    button.addEventListener("click", () => {
      chosen.has(tag) ? chosen.delete(tag) : chosen.add(tag);
      button.ariaPressed = String(chosen.has(tag));
      show();
    });
    bar.append(button);
  }
  document.querySelector(".guide-cards").before(bar);
}

function focusScrolling() {
  for (const box of document.querySelectorAll(".table-wrapper, .output_html, .highlight pre")) {
    if (box.scrollWidth > box.clientWidth && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.role = "region";
      box.ariaLabel = box.matches("pre") ? "Code, scrolls sideways" : "Table, scrolls sideways";
    }
  }
}

filterLedger();
filterCards();
focusScrolling();
