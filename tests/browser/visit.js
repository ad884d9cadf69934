// Functions for the checks, evaluated in the page; each returns plain data.
(() => {
  const name = (element) => {
    const id = element.id ? `#${element.id}` : "";
    const classes = [...element.classList].map((one) => `.${one}`).join("");
    const words = (element.innerText || element.getAttribute("aria-label") || "").trim().slice(0, 40);
    return `${element.localName}${id}${classes}${words ? ` "${words.replace(/\s+/g, " ")}"` : ""}`;
  };

  const scrolls = (element) => {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement) {
      if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(e).overflowX)) return true;
    }
    return false;
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
    const found = new Set();
    for (let node = words.nextNode(); node; node = words.nextNode()) {
      const element = node.parentElement;
      if (!node.data.trim() || element.closest(UNSEEN)) continue;
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
      href: element.href || "",
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

  // Marks a piece of text for each look that this tab hasn't had yet, on this page or an earlier one: pages have thousands
  // of pieces in a few dozen looks, and a look decides the contrast. Returns how many are marked.
  const sample = () => {
    const known = new Set(JSON.parse(sessionStorage.getItem("looks") || "[]"));
    let fresh = 0;
    for (const element of document.body.querySelectorAll("*")) {
      element.removeAttribute("data-sample");
      const words = element.matches("input, select, textarea") || [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
      if (!words || !element.checkVisibility({ visibilityProperty: true })) continue;
      const look = looks(element);
      if (known.has(look)) continue;
      known.add(look);
      element.dataset.sample = fresh++;
    }
    sessionStorage.setItem("looks", JSON.stringify([...known]));
    return fresh;
  };

  // Marks targets that come so close to another that one of them may be too small: the others can't break the rule
  const TARGETS = "a[href], area[href], button, input, select, textarea, summary, iframe, [tabindex], [role], [contenteditable]";
  const crowd = () => {
    const boxes = [];
    for (const element of document.body.querySelectorAll(TARGETS)) {
      element.removeAttribute("data-crowded");
      const { left, top, width, height } = element.getBoundingClientRect();
      if (!width && !height) continue;
      const [x, y, w, h] = [left + width / 2, top + height / 2, Math.max(width, 24) / 2, Math.max(height, 24) / 2];
      boxes.push({ element, left: x - w, right: x + w, top: y - h, bottom: y + h });
    }
    boxes.sort((a, b) => a.top - b.top);
    boxes.forEach((one, i) => {
      for (let j = i + 1; j < boxes.length && boxes[j].top < one.bottom; j++) {
        if (boxes[j].left >= one.right || one.left >= boxes[j].right) continue;
        one.element.dataset.crowded = boxes[j].element.dataset.crowded = "";
      }
    });
  };

  // Leaves one of each kind of the spans that color code, which make almost half of all elements
  const thin = () => {
    const kinds = new Set();
    for (const span of document.querySelectorAll("pre span[class]:not(:has(*))")) {
      const kind = [span.className, span.parentElement.className, span.closest("pre").parentElement.className].join();
      if (kinds.has(kind) && span.parentElement.localName === "pre") span.replaceWith(...span.childNodes);
      kinds.add(kind);
    }
  };

  const COLORS = ["color-contrast", "link-in-text-block"];
  const BASE = { resultTypes: ["violations"], iframes: false, preload: false };
  const configured = () =>
    window.axe.configure({
      rules: [
        { id: "color-contrast", selector: "[data-sample]" },
        { id: "link-in-text-block", selector: "a[href][data-sample]" },
        { id: "target-size", selector: "[data-crowded]" },
      ],
    });

  // All rules with these tags
  const rules = async (tags) => {
    configured();
    thin();
    sample();
    crowd();
    return report(await window.axe.run(document, { ...BASE, runOnly: { type: "tag", values: tags } }));
  };

  // Colors alone, where a look is new
  const colors = async () => {
    configured();
    return sample() ? report(await window.axe.run(document, { ...BASE, runOnly: { type: "rule", values: COLORS } })) : [];
  };

  window.guideChecks = { overflow, moving, hidden, focus, rules, colors };
})();
