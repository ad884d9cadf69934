// Functions for the checks, evaluated in the page; each returns plain data.
(() => {
  const name = (element) => {
    const id = element.id ? `#${element.id}` : "";
    const classes = [...element.classList].map((one) => `.${one}`).join("");
    const words = (element.innerText || element.getAttribute("aria-label") || "").trim().slice(0, 40);
    return `${element.localName}${id}${classes}${words ? ` "${words.replace(/\s+/g, " ")}"` : ""}`;
  };

  // Whether a part that sticks out is cut off or scrolled by a box of its own. What is positioned leaves all boxes that aren't,
  // and what is fixed to the window can't be scrolled to.
  const scrolls = (element) => {
    let { position } = getComputedStyle(element);
    for (let e = element.parentElement; position !== "fixed" && e && e !== document.body; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (position === "absolute" && style.position === "static") continue;
      if (["auto", "scroll", "hidden", "clip"].includes(style.overflowX)) return true;
      if (style.position !== "static") position = style.position;
    }
    return position === "fixed";
  };

  const overflow = () => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.body.querySelectorAll("*")].filter(
      (e) => e.getBoundingClientRect().right > width + 1 && e.getClientRects().length && !scrolls(e),
    );
    const inner = wide.filter((e) => !wide.some((other) => other !== e && e.contains(other)));
    return (inner.length ? inner : [document.body]).slice(0, 5).map(name);
  };

  const moving = () =>
    [...document.querySelectorAll("*")]
      .filter((e) => {
        const style = getComputedStyle(e);
        const seconds = (list) => list.split(",").some((one) => parseFloat(one) > 0.001);
        return (
          (style.transitionProperty !== "none" && seconds(style.transitionDuration)) ||
          (style.animationName !== "none" && seconds(style.animationDuration)) ||
          style.scrollBehavior === "smooth"
        );
      })
      .slice(0, 5)
      .map(name);

  // Hidden on purpose: of two images the one for the other theme, marks that show under the mouse, a box without frame
  const UNSEEN =
    "script, style, noscript, svg, .only-dark, .only-light, .headerlink, .sphx-glr-download-link-note > .admonition-title";

  // Folded parts unfold without scripts
  const hidden = () => {
    const article = document.querySelector("article") || document.body;
    const words = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    const [found, looked] = [new Set(), new Set()];
    for (let node = words.nextNode(); node; node = words.nextNode()) {
      const element = node.parentElement;
      if (!node.data.trim() || looked.has(element)) continue;
      looked.add(element);
      if (element.closest(UNSEEN)) continue;
      if (element.closest("details:not([open])")) continue;
      if (!element.checkVisibility({ visibilityProperty: true })) found.add(name(element));
    }
    return [...found].slice(0, 5);
  };

  const focus = () => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const label = element.labels && element.labels[0];
    const box = element.getBoundingClientRect();
    const outlined = (e, part) => {
      const style = getComputedStyle(e, part);
      return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== "none";
    };
    const cover = outlined(element, "::after"); // of a link that covers its card
    const marked = outlined(element) || (label && outlined(label)) || cover;
    const shown = element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && box.width > 0 && box.height > 0;
    const tiny = box.width <= 1 || box.height <= 1 || getComputedStyle(element).opacity === "0";
    return {
      name: name(element),
      tag: element.localName,
      classes: [...element.classList],
      type: element.type || "",
      found: Boolean(element.closest("ul.search")),
      seen: Boolean(marked && ((shown && !tiny) || (label && label.checkVisibility()) || (cover && element.checkVisibility()))),
    };
  };

  const report = (found) =>
    found.violations.flatMap((rule) =>
      rule.nodes
        .slice(0, 3)
        .map((node) => `${rule.id}: ${node.target.join(" ")}: ${([...node.any, ...node.all, ...node.none][0] || {}).message || rule.help}`),
    );

  const channels = (color) => (color.match(/[\d.]+/g) || []).map(Number);

  // The backgrounds that an element's text stands on, as far as the first that nothing shines through
  const behind = (element) => {
    const found = [];
    for (let e = element; e; e = e.parentElement) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(e);
      const [, , , share = 1] = channels(backgroundColor);
      if (share > 0 || backgroundImage !== "none" || opacity !== "1") found.push(backgroundColor, backgroundImage, opacity);
      if (share === 1) break;
    }
    return found.join();
  };

  const looks = (element) => {
    const { color, fontSize, fontWeight, textDecorationLine, textShadow } = getComputedStyle(element);
    const parent = element.parentElement;
    const own = [element.localName, element.className, color, fontSize, fontWeight, textDecorationLine, textShadow];
    return [...own, parent.className, getComputedStyle(parent).color, behind(element)].join();
  };

  const remembered = (key) => new Map(JSON.parse(sessionStorage.getItem(key) || "[]"));
  const remember = (key, known) => sessionStorage.setItem(key, JSON.stringify([...known]));
  const ENOUGH = 3;

  // Chooses a piece of text for each look that this tab hasn't had yet, on this page or an earlier one: pages have thousands
  // of pieces in a few dozen looks, and a look decides the contrast. One that axe couldn't decide about is tried again.
  const sample = (known) => {
    const chosen = new Map();
    for (const element of document.body.querySelectorAll("*")) {
      element.removeAttribute("data-sample");
      const words = element.matches("input, select, textarea") || [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
      if (!words || !element.checkVisibility({ visibilityProperty: true })) continue;
      const look = looks(element);
      if ((known.get(look) || 0) >= ENOUGH) continue;
      known.set(look, ENOUGH);
      element.dataset.sample = "";
      chosen.set(element, look);
    }
    return chosen;
  };

  const NATIVE = "a[href], button, input:not([type='hidden']), select, textarea, summary";
  const TARGETS = `${NATIVE}, area[href], iframe, ${["button", "checkbox", "link", "menuitem", "option", "radio", "slider", "switch", "tab"].map((role) => `[role='${role}']`)}`;

  const blockOf = (element) => {
    let block = element;
    while (getComputedStyle(block).display.startsWith("inline")) block = block.parentElement;
    return block;
  };

  // Whether words stand beside a target in its line, which may then be as small as they are
  const inText = (element) => {
    const block = blockOf(element);
    if (block === element || block.querySelector("br, hr")) return false;
    const words = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
    for (let node = words.nextNode(); node; node = words.nextNode()) {
      const parent = node.parentElement;
      if (node.data.trim() && !parent.closest(TARGETS) && blockOf(parent) === block && parent.checkVisibility()) return true;
    }
    return false;
  };

  // Marks the targets that may be too small: those under 24 px that come near another, and those that another covers in part
  const crowd = () => {
    const boxes = [];
    for (const element of document.body.querySelectorAll(TARGETS)) {
      element.removeAttribute("data-crowded");
      const { left, top, right, bottom, width, height } = element.getBoundingClientRect();
      if ((!width && !height) || right <= 0 || left >= document.documentElement.scrollWidth) continue;
      const [x, y, w, h] = [left + width / 2, top + height / 2, Math.max(width, 24) / 2, Math.max(height, 24) / 2];
      const near = { left: x - w, right: x + w, top: y - h, bottom: y + h };
      boxes.push({ element, near, own: { left, top, right, bottom }, small: width < 24 || height < 24 });
    }
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    const apart = (a, b) => !a.contains(b) && !b.contains(a);
    const suspects = new Set();
    boxes.sort((a, b) => a.near.top - b.near.top);
    boxes.forEach((one, i) => {
      for (let j = i + 1; j < boxes.length && boxes[j].near.top < one.near.bottom; j++) {
        const other = boxes[j];
        if (!meet(one.near, other.near) || !apart(one.element, other.element)) continue;
        const covered = meet(one.own, other.own);
        for (const { element, small } of [one, other]) if (small || covered) suspects.add(element);
      }
    });
    for (const element of suspects) if (!inText(element)) element.dataset.crowded = "";
  };

  // Marks the boxes that hold more than they show where neither they nor what they hold can have the focus: by it a keyboard
  // scrolls them
  const SCROLLS = ["auto", "scroll"];
  const clip = () => {
    for (const element of document.body.querySelectorAll("*")) {
      element.removeAttribute("data-clips");
      if (element.scrollWidth <= element.clientWidth && element.scrollHeight <= element.clientHeight) continue;
      const { overflowX, overflowY } = getComputedStyle(element);
      const scrolls = SCROLLS.includes(overflowX) || SCROLLS.includes(overflowY);
      const reached = (e) => e.tabIndex >= 0 && e.checkVisibility({ visibilityProperty: true });
      if (scrolls && element.checkVisibility() && ![element, ...element.querySelectorAll(NATIVE)].some(reached)) element.dataset.clips = "";
    }
  };

  const KINDS = 3;
  // A row without what may differ from its neighbors and matters to no rule: words, places and addresses
  const plain = (row) => row.outerHTML.replace(/>[^<]*[^<\s][^<]*</g, ">x<").replace(/\s(id|href|title|data-others)="[^"]*"/g, "");

  // Leaves one of each kind of the spans that color code, which make almost half of all elements, and three of each kind of
  // the links in code and of the rows of tables: what breaks no rule thrice doesn't break it later
  const thin = () => {
    const kinds = new Map();
    const more = (kind) => kinds.set(kind, (kinds.get(kind) || 0) + 1).get(kind);
    const place = (element) => [element.localName, element.className, element.parentElement.className, element.closest("pre").parentElement.className].join();
    for (const link of document.querySelectorAll("pre a[class]")) if (more(place(link)) > KINDS) link.replaceWith(link.textContent);
    for (const span of document.querySelectorAll("pre span[class]:not(:has(*))")) {
      if (more(place(span)) > 1 && span.parentElement.matches("pre, a")) span.replaceWith(...span.childNodes);
    }
    for (const row of document.querySelectorAll("tr:not(:first-child)")) {
      if (more(row.closest("table").className + plain(row)) > KINDS) row.remove();
    }
  };

  // Does its work on a page where all else than these elements is emptied: axe looks at each element there is
  const among = async (wanted, work) => {
    const kept = new Set();
    for (const element of wanted) for (let e = element; e && !kept.has(e); e = e.parentElement) kept.add(e);
    const emptied = [];
    const empty = (parent) => {
      for (const child of [...parent.children]) {
        if (kept.has(child)) empty(child);
        else if (child.hasChildNodes()) {
          const shell = child.cloneNode(false); // what stands beside it may be styled by its being there
          shell.dataset.shell = "";
          child.replaceWith(shell);
          emptied.push([shell, child]);
        }
      }
    };
    empty(document.body);
    try {
      return await work();
    } finally {
      for (const [shell, child] of emptied) shell.replaceWith(child);
    }
  };

  const COLORS = ["color-contrast", "link-in-text-block"];
  const LAYOUT = ["target-size", "scrollable-region-focusable"];
  const BASE = { resultTypes: ["violations"], iframes: false, preload: false };
  const configured = () =>
    window.axe.configure({
      rules: [
        { id: "color-contrast", selector: "[data-sample]" },
        { id: "link-in-text-block", selector: "a[href][data-sample]" },
        { id: "target-size", selector: "[data-crowded]" },
        { id: "scrollable-region-focusable", selector: "[data-clips]" },
      ],
    });
  const without = (names) => Object.fromEntries(names.map((one) => [one, { enabled: false }]));
  const EVERYTHING = { include: [["html"]], exclude: [["[data-shell]"]] };
  const run = async (options) => report(await window.axe.run(EVERYTHING, { ...BASE, ...options }));

  // Colors, where a look is new
  const colors = async () => {
    configured();
    const known = remembered("looks");
    const before = new Map(known);
    const chosen = sample(known);
    if (!chosen.size) return [];
    const blocks = [...chosen.keys()].flatMap((e) => (e.matches("a[href]") ? [e, ...(e.closest("p, li, td, dd") || e).querySelectorAll("*")] : [e]));
    const options = { ...BASE, resultTypes: ["violations", "incomplete"], elementRef: true, runOnly: { type: "rule", values: COLORS } };
    const found = await among(blocks, () => window.axe.run(EVERYTHING, options));
    for (const rule of found.incomplete) {
      for (const { element } of rule.nodes) known.set(chosen.get(element), (before.get(chosen.get(element)) || 0) + 1);
    }
    remember("looks", known);
    return report(found);
  };

  // All rules with these tags but those about colors, with all folded parts open
  const rules = async (tags) => {
    configured();
    for (const folded of document.querySelectorAll("details")) folded.open = true;
    await new Promise((done) => setTimeout(done, 20)); // the page hears of it
    crowd();
    clip();
    const found = await run({ runOnly: { type: "tag", values: tags }, rules: without(COLORS) });
    return [...found, ...(await colors())];
  };

  const CONTENT = "article, .sidebar-tree, .toc-tree";

  // What depends on the width, and all rules for what isn't there in another width: the page's frame, boxes that scroll now
  const narrow = async (tags) => {
    thin();
    configured();
    crowd();
    clip();
    const suspect = document.querySelector("[data-crowded], [data-clips]");
    const found = suspect ? await run({ runOnly: { type: "rule", values: LAYOUT } }) : [];
    const frame = [...document.body.querySelectorAll("*")].filter((e) => !e.closest(CONTENT) || e.matches("h1, [tabindex]"));
    const more = await among(frame, () => run({ runOnly: { type: "tag", values: tags }, rules: without([...COLORS, ...LAYOUT]) }));
    return [...found, ...more, ...(await colors())];
  };

  window.guideChecks = { overflow, moving, hidden, focus, narrow, rules, colors, remembered };
})();
