// The elements that the views are made of: buttons, fields, small print, plain tables.
"use strict";

Object.assign(usbench, {
  button: (text, onclick, attributes = {}) =>
    usbench.h("button", { type: "button", onclick, ...attributes }, text),

  link: (href, text) => usbench.h("a", { href, rel: "noreferrer" }, text),

  small: (...parts) => usbench.h("p", { class: "muted small" }, parts),

  option: (value, text) => usbench.h("option", { value }, text),

  // A select of [value, text] pairs or option elements; onchange gets the value.
  select(id, options, value, onchange) {
    const element = usbench.h("select", { id, onchange: () => onchange(element.value) });
    element.append(
      ...options.map((each) => (Array.isArray(each) ? usbench.option(...each) : each)),
    );
    element.value = value;
    return element;
  },

  // A control below its label.
  field: (label, control, ...more) =>
    usbench.h(
      "div",
      { class: "field" },
      usbench.h("label", { for: control.id }, label),
      more.length ? usbench.h("div", { class: "pair" }, control, more) : control,
    ),

  // A checkbox with its label; onchange gets whether it is ticked.
  check(text, checked, onchange, tip = null) {
    const box = usbench.h("input", { type: "checkbox", onchange: () => onchange(box.checked) });
    box.checked = checked;
    const label = usbench.h("span", {}, text);
    return usbench.h("label", { class: "check", "data-tip": tip }, box, label);
  },

  // A table that scrolls sideways on its own, by keyboard too.
  region: (caption, table, more = "") =>
    usbench.h(
      "div",
      { class: `scroll ${more}`.trim(), tabindex: 0, role: "region", "aria-label": caption },
      table,
    ),

  // A table of texts.
  plain(caption, header, lines) {
    const { h } = usbench;
    const head = header.map((text) => h("th", { scope: "col" }, text));
    const line = (cells) =>
      h(
        "tr",
        {},
        cells.map((text) => h("td", {}, text)),
      );
    const parts = [h("caption", {}, caption), h("thead", {}, h("tr", {}, head))];
    const table = h("table", { class: "plain" }, parts, h("tbody", {}, lines.map(line)));
    return usbench.region(caption, table);
  },

  // A promise that a script beside the page has run, or could not be loaded.
  loadScript: (src) =>
    new Promise((resolve) => {
      document.head.append(usbench.h("script", { src, onload: resolve, onerror: resolve }));
    }),

  folded: (summary, ...content) =>
    usbench.h("details", {}, usbench.h("summary", {}, summary), content),
});
