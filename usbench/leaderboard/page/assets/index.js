// The page: its data, its two views by the address behind #, the dialog and the explanations of marks and columns.
"use strict";

(() => {
  const { h } = usbench;
  const data = JSON.parse(document.getElementById("data").textContent);
  const views = { leaderboard: document.getElementById("view-leaderboard"), catalogue: document.getElementById("view-catalogue") };

  // ---- the dialog: a title, then anything

  const dialog = document.getElementById("dialog");
  usbench.dialog = (title, content) => {
    dialog.replaceChildren(h("header", {}, h("h2", { id: "dialog-title" }, title),
      h("button", { type: "button", onclick: () => dialog.close() }, "Close")), ...content.flat(2).filter(Boolean));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  // ---- explanations, by pointer and by focus

  const tip = document.getElementById("tip");
  let about = null;
  const hide = () => { about = null; tip.hidden = true; };
  function place() { // beside what it is about, also when that is scrolled
    if (!about) return;
    const box = about.getBoundingClientRect();
    const below = box.bottom + tip.offsetHeight + 10 < innerHeight;
    tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${below ? box.bottom + 6 : box.top - tip.offsetHeight - 6}px`;
  }
  function explain(event) {
    const found = event.target.closest?.("[data-tip]");
    if (!found) return hide();
    about = found;
    tip.textContent = about.dataset.tip;
    tip.hidden = false;
    about.setAttribute("aria-describedby", "tip");
    place();
  }
  document.addEventListener("mouseover", explain);
  document.addEventListener("focusin", explain);
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", place, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // ---- which view: #leaderboard/usgra/segment, #catalogue, #catalogue/usgra

  const show = { leaderboard: null, catalogue: null };
  const address = () => { try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; } };
  function route() {
    const [view, ...rest] = address().split("/");
    const name = view in views ? view : "leaderboard";
    for (const [each, section] of Object.entries(views)) section.hidden = each !== name;
    document.querySelectorAll("nav.tabs a").forEach((link) => {
      if (link.getAttribute("href") === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    if (dialog.open) dialog.close();
    show[name] ??= usbench[name](views[name], data[name], data.leaderboard.tasks);
    show[name](rest.join("/"));
  }
  addEventListener("hashchange", () => { route(); scrollTo(0, 0); });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  route();
})();
