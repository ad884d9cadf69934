// What a page gains where scripts run: filters for the ledger and the gallery, a choice of machine that all pages share,
// and boxes that scroll by keyboard. Without scripts everything is there, unfiltered, one machine after the other.
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
  const entries = document.querySelectorAll(".claim-line");
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
      section.hidden = !section.querySelector(".claim-line:not([hidden])");
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
  const cards = [...document.querySelectorAll(".guide-filtered > .guide-card")];
  const tags = values(cards, "tag-").sort();
  if (cards.length < 2 || !tags.length) return;
  const chosen = new Set();
  const count = make("output", {});
  const fits = (card, wanted) => wanted.every((tag) => card.classList.contains(`tag-${tag}`));
  const show = () => {
    for (const card of cards) card.hidden = !fits(card, [...chosen]);
    for (const box of document.querySelectorAll(".guide-filtered")) {
      const section = box.closest("section");
      if (section.parentElement.closest("section")) section.hidden = !box.querySelector(".guide-card:not([hidden])");
    }
    for (const [tag, button] of buttons) {
      button.ariaPressed = String(chosen.has(tag));
      // a tag that leaves nothing is no choice
      button.disabled = !chosen.has(tag) && !cards.some((card) => fits(card, [...chosen, tag]));
    }
    all.hidden = !chosen.size;
    count.textContent = `${cards.filter((card) => !card.hidden).length} of ${cards.length} examples`;
  };
  const buttons = new Map(
    tags.map((tag) => {
      const button = make("button", { type: "button", textContent: tag.replaceAll("-", " ") });
      button.addEventListener("click", () => {
        chosen.has(tag) ? chosen.delete(tag) : chosen.add(tag);
        show();
      });
      return [tag, button];
    }),
  );
  const all = make("button", { type: "button", textContent: "show all", className: "guide-all" });
  all.addEventListener("click", () => {
    chosen.clear();
    show();
    buttons.values().next().value.focus();
  });
  const bar = make("div", { className: "guide-filter", role: "group", ariaLabel: "Examples by tag" });
  bar.append("Show examples about", ...buttons.values(), all, count);
  const first = document.querySelector(".guide-filtered");
  const section = first.closest("section");
  (section.parentElement.closest("section") ? section : first).before(bar);
  show();
}

const MACHINE = "mlx-compile-guide-machine";
const MOST_BUTTONS = 4;

const idOf = (panel) => classesWith(panel, "machine-")[0];

function remembered() {
  try {
    return localStorage.getItem(MACHINE);
  } catch {
    return null; // a browser may forbid it: then a choice holds for its page
  }
}

function remember(machine) {
  try {
    localStorage.setItem(MACHINE, machine);
  } catch {
    // see above
  }
}

function machineControl(number, machines, choose) {
  const options = [...machines];
  if (options.length <= MOST_BUTTONS) {
    const radios = options.map(([id, { name }]) => {
      const radio = make("input", { type: "radio", name: `machine-of-${number}`, value: id });
      radio.addEventListener("change", () => choose(id, box));
      return make("label", {}, radio, make("span", { textContent: name }));
    });
    const box = make("fieldset", { className: "guide-machine-choice" }, make("legend", { textContent: "Machine" }), ...radios);
    return box;
  }
  const select = make("select", {});
  for (const backend of new Set(options.map(([, machine]) => machine.backend))) {
    const group = make("optgroup", { label: { metal: "Apple silicon (Metal)", cuda: "CUDA", cpu: "CPU" }[backend] });
    for (const [id, machine] of options) {
      if (machine.backend === backend) group.append(make("option", { value: id, textContent: machine.name }));
    }
    select.append(group);
  }
  const box = make("div", { className: "guide-machine-choice" }, make("label", {}, "Machine ", select));
  select.addEventListener("change", () => choose(select.value, box));
  return box;
}

function chooseMachine() {
  const switches = [...document.querySelectorAll(".guide-switch")];
  for (const others of document.querySelectorAll(".guide-others")) {
    others.firstElementChild.remove(); // its line to unfold
    others.replaceWith(...others.childNodes);
  }
  const machines = new Map();
  for (const panel of document.querySelectorAll(".guide-page-switch > .guide-panel")) {
    const name = panel.querySelector(".machine").textContent;
    const version = panel.textContent.match(/MLX [^,]+/)?.[0] ?? "";
    machines.set(idOf(panel), { name: `${name}, ${version}`, backend: classesWith(panel, "backend-")[0] });
  }
  if (machines.size < 2) return;
  const own = machines.keys().next().value;
  const numbers = [...document.querySelectorAll("[data-others]")].map((element) => {
    return { element, own: element.textContent, others: JSON.parse(element.dataset.others) };
  });
  const show = (machine) => {
    for (const box of switches) {
      const panels = [...box.children].filter((child) => child.classList.contains("guide-panel"));
      const found = panels.find((panel) => idOf(panel) === machine);
      for (const panel of panels) panel.hidden = panel !== (found ?? panels[0]);
      box.querySelector(":scope > .guide-absent")?.remove();
      if (!found && box.querySelector(":scope > .guide-machine-choice")) {
        const instead = machines.get(idOf(panels[0]))?.name;
        const words = `Not measured there. This is ${instead}.`;
        panels[0].before(make("p", { className: "guide-absent", textContent: words }));
      }
    }
    for (const { element, own: text, others } of numbers) {
      const other = machine in others ? others[machine] : text;
      element.textContent = machine === own ? text : (other ?? "not measured there");
    }
    for (const input of document.querySelectorAll(".guide-machine-choice input")) input.checked = input.value === machine;
    for (const select of document.querySelectorAll(".guide-machine-choice select")) select.value = machine;
    for (const note of document.querySelectorAll(".guide-elsewhere")) {
      note.hidden = machine === own;
    }
  };
  const choose = (machine, box) => {
    const before = box.getBoundingClientRect().top;
    remember(machine);
    show(machine);
    scrollBy(0, box.getBoundingClientRect().top - before); // tables above may have grown
  };
  switches.forEach((box, number) => {
    if (box.classList.contains("guide-quiet")) return;
    box.prepend(machineControl(number, machines, choose));
    if (box.classList.contains("guide-page-switch")) {
      const words = `Plots, printed outputs and verdicts on this page are those of ${machines.get(own).name}.`;
      box.append(make("p", { className: "guide-elsewhere", textContent: words, hidden: true }));
    }
  });
  document.body.classList.add("guide-switches");
  const wanted = remembered();
  show(machines.has(wanted) ? wanted : own);
}

function focusScrolling() {
  for (const box of document.querySelectorAll(".table-wrapper, .guide-scroll, .output_html, .highlight pre")) {
    if (box.scrollWidth > box.clientWidth && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.role = "group"; // a region would be a landmark, and a page has dozens of these
      const what = box.matches("pre") ? "Code" : box.matches(".guide-scroll") ? "Chart" : "Table";
      box.ariaLabel = `${what}, scrolls sideways`;
    }
  }
}

// The ledger was one page once: an address of that time, claims.html#claim-ID, leads on to the entry.
function followPermalink() {
  const line = location.hash.startsWith("#claim-") && document.getElementById(location.hash.slice(1));
  if (line && line.matches(".claim-line")) location.replace(line.querySelector("a").href);
}

followPermalink();
filterLedger();
filterCards();
chooseMachine();
setTimeout(focusScrolling); // it has the page laid out: a task by itself lets the reader in before
addEventListener("resize", focusScrolling);
addEventListener("toggle", focusScrolling, true); // what was folded had no width before
