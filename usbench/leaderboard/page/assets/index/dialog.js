// Dialogs: a title, a close button, content. The browser keeps the focus inside, and gives it back when one closes.
"use strict";

usbench.dialog = (title, content) => {
  const { h } = usbench;
  const dialog = document.getElementById("dialog");
  const close = h("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(h("header", {}, h("h2", { id: "dialog-title" }, title), close), ...[content].flat(2).filter(Boolean));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
};

// Links of a text's addresses: "doi 10.1/x, https://…" with its addresses as links.
usbench.linked = (text) => text.split(/(https?:\/\/[^\s;,)]+|\b10\.\d{4,}\/[^\s,;)]+)/).map((part, n) => {
  if (n % 2 === 0) return part;
  return usbench.h("a", { href: part.startsWith("10.") ? `https://doi.org/${part}` : part, rel: "noreferrer" }, part);
});

// All that is known of a row: its figures, its results' pages, how to make it again, what its marks mean.
usbench.openRow = (data, task, table, row) => {
  const { h, copyable } = usbench;
  const origin = task.origins[row.id] || {};
  const facts = table.columns.map((column, place) => [column.title, row.texts[place]])
    .filter(([title, text]) => text && !["note", "source", "Δ published"].includes(title));

  const run = (one) => h("li", {}, one.href ? h("a", { href: one.href }, one.label) : one.label,
    one.reproduce ? copyable(one.reproduce, `the command that reproduces ${one.label}`) : null);

  const explained = [...(row.badges || []), ...(row.marks || []).map((mark) => ({ text: mark, tip: data.marks[mark] || "" }))];
  const source = table.columns.findIndex((column) => column.title === "source");

  usbench.dialog(row.name, [
    row.sub ? h("p", { class: "muted" }, row.sub) : null,
    h("dl", { class: "facts" }, facts.map(([title, text]) => [h("dt", {}, title), h("dd", {}, text)])),
    row.difference ? h("p", {}, h("strong", {}, "Against the published score: "), row.difference) : null,
    explained.length ? h("dl", { class: "facts" }, explained.map(({ text, tip }) => [h("dt", {}, text), h("dd", {}, tip)])) : null,
    row.note ? h("p", {}, h("strong", {}, "Note: "), usbench.linked(row.note)) : null,
    source >= 0 && row.origin === "published" ? h("p", {}, h("strong", {}, "Source: "), usbench.linked(row.texts[source])) : null,
    row.links?.length ? h("p", {}, row.links.map((link) => [h("a", { href: link.href, rel: "noreferrer" }, link.label), " "])) : null,
    origin.runs ? [h("h3", {}, "Results"), h("ul", { class: "runs" }, origin.runs.map(run))] : null,
    origin.command ? [h("h3", {}, "Run it"), copyable(origin.command, "the command")] : null,
    (origin.notes || []).map((note) => h("p", { class: "muted small" }, note)),
  ].flat(2));
};
