// Dialogs: a title, a close button, content. The browser keeps the focus inside, and gives it back
// when one closes.
"use strict";

usbench.dialog = (title, content) => {
  const { h } = usbench;
  const dialog = document.getElementById("dialog");
  const close = usbench.button("Close", () => dialog.close());
  const head = h("header", {}, h("h2", { id: "dialog-title" }, title), close);
  dialog.replaceChildren(head, ...content.flat(2).filter(Boolean));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
};

// A text's parts, with its addresses as links: "doi 10.1/x, https://…".
usbench.linked = (text) =>
  text.split(/(https?:\/\/[^\s;,)]+|\b10\.\d{4,}\/[^\s,;)]+)/).map((part, n) => {
    if (n % 2 === 0) return part;
    return usbench.link(part.startsWith("10.") ? `https://doi.org/${part}` : part, part);
  });

usbench.facts = (pairs) => {
  const { h } = usbench;
  if (!pairs.length) return null;
  return h(
    "dl",
    { class: "facts" },
    pairs.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]),
  );
};

// All that is known of a row: its figures, its results' pages, how to make it again, what its marks
// mean.
usbench.openRow = (data, task, table, row) => {
  const { h, copyable, facts } = usbench;
  const origin = task.origins[row.id] || {};
  const textOf = Object.fromEntries(
    table.columns.map(({ title }, place) => [title, row.texts[place]]),
  );
  const { note, source, "Δ published": difference, ...figures } = textOf;
  const marks = (row.marks || []).map((mark) => [mark, data.marks[mark] || ""]);
  const badges = (row.badges || []).map(({ text, tip }) => [text, tip]);
  const stated = (name, text) =>
    text ? h("p", {}, h("strong", {}, `${name}: `), usbench.linked(text)) : null;

  const run = ({ href, label, reproduce }) => {
    const command = reproduce && copyable(reproduce, `the command that reproduces ${label}`);
    return h("li", {}, href ? h("a", { href }, label) : label, command || null);
  };

  usbench.dialog(row.name, [
    row.sub ? h("p", { class: "muted" }, row.sub) : null,
    facts(Object.entries(figures).filter(([, text]) => text)),
    stated("Against the published score", row.difference),
    facts([...badges, ...marks]),
    stated("Note", note),
    row.origin === "published" ? stated("Source", source) : null,
    origin.runs ? [h("h3", {}, "Results"), h("ul", { class: "runs" }, origin.runs.map(run))] : null,
    origin.command ? [h("h3", {}, "Run it"), copyable(origin.command, "the command")] : null,
    (origin.notes || []).map((text) => usbench.small(text)),
  ]);
};
