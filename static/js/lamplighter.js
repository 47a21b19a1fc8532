/* What pages need beyond HTML: the viewer's time zone, running countdowns, copy buttons, dialogs, sortable tables.
   Live parts are live.js's business. No library beyond htmx. */
(() => {
  "use strict";
  const words = JSON.parse(document.getElementById("words")?.textContent || "{}");
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  /* ---- time zone: the portal shows times in the zone that this cookie names */
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.split("; ").includes("tz=" + zone)) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = "tz=" + zone + "; path=/; max-age=31536000; SameSite=Lax" + secure;
  }

  /* ---- relative times: the portal's own clock decides, a wrong laptop clock must not */
  const skew = (Date.parse(document.documentElement.dataset.now) || Date.now()) - Date.now();
  const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_all, name) => values[name]);
  const span = (seconds) => {
    const s = Math.max(0, Math.round(seconds));
    if (s < 60) return fill(words.s, { n: s });
    if (s < 300 && s % 60) return fill(words.min, { n: Math.floor(s / 60) }) + " " + fill(words.s, { n: s % 60 });
    if (s < 3600) return fill(words.min, { n: Math.floor(s / 60) });
    const minutes = Math.floor((s % 3600) / 60);
    if (s < 48 * 3600) {
      return fill(words.h, { n: Math.floor(s / 3600) }) + (minutes ? " " + fill(words.min, { n: minutes }) : "");
    }
    return fill(words.days, { n: Math.floor(s / 86400) });
  };
  const relative = (node) => {
    const left = (Date.parse(node.closest("time").dateTime) - Date.now() - skew) / 1000;
    if (Math.abs(left) < 1) return words.now;
    return fill(left > 0 ? words.in : words.ago, { span: span(Math.abs(left)) });
  };
  const tick = () => {
    for (const node of all("time [data-rel]")) {
      const text = relative(node);
      if (node.textContent !== text) node.textContent = text;
    }
    for (const node of all("[data-since]")) {
      const text = span((Date.now() + skew - Date.parse(node.dataset.since)) / 1000);
      if (node.textContent !== text) node.textContent = text;
    }
  };
  setInterval(tick, 1000);

  /* ---- a row of links that is wider than the window shows the one where we are */
  for (const here of all(".sections [aria-current], .tabs [aria-current]")) {
    here.scrollIntoView({ block: "nearest", inline: "center" });
  }

  /* ---- a chart that is wider than the window shows its newest end */
  for (const chart of all(".chart-scroll")) chart.scrollLeft = chart.scrollWidth;

  /* ---- one polite voice for screen readers */
  const said = document.getElementById("said");
  const say = (text) => { if (said && text) said.textContent = text; };

  /* ---- clicks */
  const copy = async (button) => {
    const text = document.getElementById(button.dataset.copy).textContent.trim();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(button.dataset.copy));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    const before = button.dataset.label || button.textContent;
    button.dataset.label = before;
    button.textContent = button.dataset.done;
    say(button.dataset.done);
    setTimeout(() => { button.textContent = before; }, 2500);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button, [data-dialog]");
    if (!button) return;
    if (button.dataset.copy) copy(button);
    if (button.dataset.dialog) {
      event.preventDefault();
      document.getElementById(button.dataset.dialog)?.showModal();
    }
    if (button.hasAttribute("data-close")) button.closest("dialog").close();
    if (button.matches("th button.sort")) sortBy(button.closest("th"));
    if (button.hasAttribute("data-print")) print();
  });
  /* A double click must not send twice (the portal would survive it, the person would be puzzled). */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("data-sent")) event.preventDefault();
    else if (form.method === "post") form.setAttribute("data-sent", "");
    /* A file that is saved leaves the page as it is: a moment later it may be asked for again. */
    if (form.hasAttribute("data-saves")) setTimeout(() => form.removeAttribute("data-sent"), 2000);
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((f) => f.removeAttribute("data-sent")));
  document.addEventListener("htmx:afterRequest", (event) => event.target.removeAttribute?.("data-sent"));
  document.addEventListener("htmx:afterSwap", (event) => document.querySelector(".code-box [autofocus]")?.focus());

  /* ---- tables: sort by a column, filter by text and by choice; kept over a live refresh */
  const kept = new Map();
  const value = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value ?? cell.textContent.trim().toLowerCase();
    const number = Number(raw);
    return raw !== "" && !Number.isNaN(number) ? number : raw;
  };
  const applySort = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return direction === "ascending" ? order : -order;
    });
    body.append(...rows);
    all("th", table.tHead).forEach((th, i) => {
      if (i === column) th.setAttribute("aria-sort", direction);
      else th.removeAttribute("aria-sort");
    });
  };
  const sortBy = (th) => {
    const table = th.closest("table");
    const first = th.classList.contains("num") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = th.getAttribute("aria-sort") === first ? other : first;
    kept.set(table.id, { column: th.cellIndex, direction });
    applySort(table, th.cellIndex, direction);
  };
  const filter = (table) => {
    const tools = all(`[data-filters="${table.id}"]`);
    const text = (tools.find((t) => t.type === "search")?.value || "").trim().toLowerCase();
    const choices = tools.filter((t) => t.tagName === "SELECT" && t.value);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const fits = (!text || row.textContent.toLowerCase().includes(text)) &&
        choices.every((choice) => row.dataset[choice.dataset.key || "group"] === choice.value);
      row.hidden = !fits;
      if (fits) shown += 1;
    }
    const count = document.getElementById(table.id + "-count");
    if (count) count.textContent = fill(words.shown, { n: shown, of: table.tBodies[0].rows.length });
  };
  const restore = (table) => {
    const how = kept.get(table.id);
    if (how) applySort(table, how.column, how.direction);
    if (all(`[data-filters="${table.id}"]`).length) filter(table);
  };
  document.addEventListener("input", (event) => {
    const id = event.target.dataset?.filters;
    if (id) filter(document.getElementById(id));
  });

  /* ---- one box that ticks all others of a name */
  const unhide = () => all("[data-scripted]").forEach((node) => { node.hidden = false; });
  unhide();
  document.addEventListener("htmx:afterSwap", unhide);
  document.addEventListener("change", (event) => {
    const name = event.target.dataset?.all;
    if (name) for (const box of document.getElementsByName(name)) box.checked = event.target.checked;
  });

  /* ---- a security key that the browser did not use: said on the page, not in the console alone */
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const place = document.getElementById("key-trouble") || document.createElement("p");
    Object.assign(place, { id: "key-trouble", className: "error", textContent: words.key });
    place.setAttribute("role", "alert");
    document.querySelector("main .card").append(place);
  });

  /* static/js/live.js calls this after it has renewed a part of the page. */
  document.addEventListener("lamplighter:renewed", (event) => {
    for (const table of all("table[data-sortable]", event.target)) restore(table);
    if (event.detail.news) say(event.detail.news);
    tick();
  });
  tick();
})();
