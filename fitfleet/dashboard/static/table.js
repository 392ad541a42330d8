// The table of an experiment: which jobs are selected, columns that are remembered, keys, actions.

export function startTable(root, say) {
  const form = document.getElementById("state");
  if (!form) return;
  const field = form.elements;
  const chosen = new Set((field.sel.value || "").split(",").filter(Boolean));
  const memory = `fitfleet-columns ${field.name.value}`;
  let last = null; // the row a range begins at

  rememberColumns();
  show();

  function rows() {
    return [...form.querySelectorAll("#jobs tbody tr[data-job]")];
  }

  function show() {
    for (const row of rows()) {
      const isChosen = chosen.has(row.dataset.job);
      row.toggleAttribute("data-selected", isChosen);
      row.querySelector("input").checked = isChosen;
    }
    const all = document.getElementById("tick-all");
    if (all) all.checked = rows().length > 0 && rows().every((row) => chosen.has(row.dataset.job));
    const count = document.getElementById("selected-count");
    count.textContent = chosen.size ? `${chosen.size} selected` : "nothing selected";
    for (const button of form.querySelectorAll("#actions button")) button.disabled = chosen.size === 0;
    const compare = form.querySelector("[data-go=compare]");
    compare.disabled = chosen.size < 2 || chosen.size > 10;
    compare.title = compare.disabled ? "Select two to ten jobs" : "";
  }

  function changed() {
    field.sel.value = [...chosen].join(",");
    show();
    keepUrl();
    document.dispatchEvent(new CustomEvent("fitfleet:draw"));
  }

  /** The address says what is shown, so that it can be sent to somebody. */
  function keepUrl() {
    const query = new URLSearchParams(location.search);
    for (const name of ["sel", "panel", "brush"]) {
      if (field[name].value && !(name === "panel" && field[name].value === "curves")) query.set(name, field[name].value);
      else query.delete(name);
    }
    history.replaceState(history.state, "", `${location.pathname}?${query}`);
  }

  function toggle(job, isOn) {
    if (isOn) chosen.add(job);
    else chosen.delete(job);
  }

  form.addEventListener("change", (event) => {
    const box = event.target;
    if (box.id === "tick-all") {
      for (const row of rows()) toggle(row.dataset.job, box.checked);
      changed();
    } else if (box.closest("td.tick")) {
      toggle(box.value, box.checked);
      last = box.value;
      changed();
    } else if (box.name === "cols") {
      const names = [...form.querySelectorAll("[name=cols]:checked")].map((one) => one.value);
      localStorage.setItem(memory, JSON.stringify(names));
    }
    if (box.classList.contains("redraws")) document.dispatchEvent(new CustomEvent("fitfleet:draw"));
  });

  // A click with Shift takes all between this row and the last one.
  form.addEventListener("click", (event) => {
    const box = event.target.closest("td.tick input");
    if (!box || !event.shiftKey || last === null) return;
    const names = rows().map((row) => row.dataset.job);
    const [from, to] = [names.indexOf(last), names.indexOf(box.value)].sort((a, b) => a - b);
    if (from < 0) return;
    for (const job of names.slice(from, to + 1)) toggle(job, box.checked);
    changed();
  });

  // Up and down between the boxes of the rows; space ticks, as everywhere; Enter opens the job.
  form.addEventListener("keydown", (event) => {
    const box = event.target.closest?.("td.tick input");
    if (!box) return;
    const boxes = rows().map((row) => row.querySelector("input"));
    const at = boxes.indexOf(box);
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    if (step !== undefined) {
      const next = boxes[at + step];
      if (!next) return;
      event.preventDefault();
      if (event.shiftKey) {
        toggle(next.value, true);
        toggle(box.value, true);
        changed();
      }
      next.focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      location.assign(`${root}/job/${box.value}`);
    }
  });

  form.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.panel) choosePanel(button.dataset.panel);
    if ("clear" in button.dataset) {
      chosen.clear();
      changed();
    }
    if (button.dataset.go) location.assign(`${root}/compare?jobs=${[...chosen].join(",")}`);
    if (button.dataset.act) await act(button.dataset.act, button);
    if (button.dataset.do) await send(button.dataset.do, { name: field.name.value });
  });

  async function act(name, button) {
    const count = chosen.size === 1 ? "the selected job" : `${chosen.size} jobs`;
    if (name === "cancel" && !confirm(`Cancel ${count}? Their last checkpoints stay.`)) return;
    const fields = { jobs: [...chosen].join(",") };
    for (const input of button.parentElement.querySelectorAll("input[data-for]")) {
      if (input.dataset.for === name) fields[input.name] = input.value;
    }
    await send(name, fields);
  }

  async function send(name, fields) {
    const body = new URLSearchParams(fields);
    const answer = await fetch(`${root}/do/${name}`, { method: "POST", body, headers: { "HX-Request": "true" } });
    say(await answer.text());
    htmx.trigger(document.body, "fitfleet:changed");
  }

  function choosePanel(name) {
    field.panel.value = name;
    for (const tab of form.querySelectorAll("[role=tab]")) {
      tab.setAttribute("aria-selected", String(tab.dataset.panel === name));
      document.getElementById(`panel-${tab.dataset.panel}`).hidden = tab.dataset.panel !== name;
    }
    keepUrl();
    document.dispatchEvent(new CustomEvent("fitfleet:draw"));
  }

  form.addEventListener("keydown", (event) => {
    if (event.target.getAttribute("role") !== "tab") return;
    const tabs = [...form.querySelectorAll("[role=tab]")];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
    next.focus();
    choosePanel(next.dataset.panel);
  });

  // A menu closes when the reader turns elsewhere.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A link to another order or page goes through the form, which holds the view: by itself it would
  // go with the table when a refresh that was on its way arrives.
  form.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-view]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const given = new URL(link.href).searchParams;
    for (const name of ["sort", "desc", "page"]) field[name].value = given.get(name) ?? "";
    htmx.trigger(form, "fitfleet:read");
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "table") show();
  });
  // The answer to a request that was sent before a row was selected has the address of then.
  document.body.addEventListener("htmx:replacedInHistory", keepUrl);

  document.addEventListener("fitfleet:brush", (event) => {
    field.brush.value = Object.keys(event.detail).length ? JSON.stringify(event.detail) : "";
    field.page.value = 1;
    htmx.trigger(form, "fitfleet:read");
  });

  function rememberColumns() {
    if (new URLSearchParams(location.search).has("cols")) return;
    const names = JSON.parse(localStorage.getItem(memory) ?? "[]");
    const boxes = [...form.querySelectorAll("[name=cols]")].filter((box) => names.includes(box.value));
    if (!boxes.length) return;
    for (const box of boxes) box.checked = true;
    setTimeout(() => htmx.trigger(form, "fitfleet:read"));
  }
}
