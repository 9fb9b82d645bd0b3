// What pages do beyond what the browser does by itself. Each page works without it.
(function () {
  "use strict";

  // Charts are drawn from the table beneath them: the first column is the time, each other one a line.
  function plots(root) {
    root.querySelectorAll("figure.chart[data-chart]").forEach(function (figure) {
      if (figure.dataset.drawn || !window.uPlot) return;
      var table = figure.querySelector("table"), target = figure.querySelector(".plot");
      if (!table || !target || !table.tBodies[0] || table.tBodies[0].rows.length < 2) { target.remove(); return; }
      figure.dataset.drawn = "yes";
      var heads = Array.from(table.tHead.rows[0].cells).map(function (c) { return c.textContent; });
      var rows = Array.from(table.tBodies[0].rows);
      var xs = rows.map(function (r) {
        var t = r.cells[0].querySelector("time");
        return t ? Date.parse(t.dateTime) / 1000 : Number(r.cells[0].dataset.value || r.rowIndex);
      });
      var data = [xs], series = [{ label: heads[0], value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }];
      var style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--pico-color").trim(), faint = style.getPropertyValue("--pico-muted-border-color").trim();
      var colours = ["#0891b2", "#d97706", "#7c3aed", "#059669", "#dc2626", "#2563eb", "#be185d", "#65a30d", "#64748b", "#a16207"];
      var bars = figure.dataset.chart === "bars";
      for (var i = 1; i < heads.length; i++) {
        var values = rows.map(function (r) { var v = r.cells[i] && r.cells[i].dataset.value; return v === undefined || v === "" ? null : Number(v); });
        if (values.every(function (v) { return v === null; })) continue;
        data.push(values);
        series.push({ label: heads[i], stroke: colours[(i - 1) % colours.length], width: 2, points: { show: rows.length < 40 },
          fill: bars ? colours[(i - 1) % colours.length] + "99" : undefined,
          paths: bars ? window.uPlot.paths.bars({ size: [0.7, 60] }) : undefined });
      }
      if (data.length < 2) { target.remove(); return; }
      var short = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact" });
      var axis = { stroke: ink, grid: { stroke: faint }, ticks: { stroke: faint } };
      var plot = new window.uPlot({
        width: figure.clientWidth || 600, height: 260, tzDate: function (ts) { return window.uPlot.tzDate(new Date(ts * 1e3), figure.dataset.zone || "Etc/UTC"); },
        series: series, scales: { y: { range: function (u, min, max) { if (figure.dataset.chart === "share") return [Math.max(0, Math.floor(min === null ? 0 : min) - 5), 100]; return [Math.min(0, min), max <= 0 ? 1 : max * 1.05]; } } },
        axes: [axis, Object.assign({ size: 64, values: function (u, vs) { return vs.map(function (v) { return v === null ? "" : short.format(v); }); } }, axis)]
      }, data, target);
      new ResizeObserver(function () { plot.setSize({ width: figure.clientWidth, height: 260 }); }).observe(figure);
    });
  }

  // Lists that are on one page as a whole are sorted in the browser.
  function sorting(root) {
    root.querySelectorAll("table[data-sortable]").forEach(function (table) {
      if (table.dataset.ready) return;
      table.dataset.ready = "yes";
      Array.from(table.tHead.rows[0].cells).forEach(function (th, index) {
        if (th.querySelector("a") || !th.textContent) return;
        var button = document.createElement("button");
        button.type = "button"; button.className = "sort"; button.textContent = th.textContent;
        th.textContent = ""; th.appendChild(button);
        button.addEventListener("click", function () {
          var up = th.getAttribute("aria-sort") !== "ascending";
          Array.from(th.parentNode.cells).forEach(function (c) { c.removeAttribute("aria-sort"); });
          th.setAttribute("aria-sort", up ? "ascending" : "descending");
          var key = function (tr) {
            var td = tr.cells[index];
            if (!td) return "";
            if (td.dataset.value !== undefined) return Number(td.dataset.value);
            return td.textContent.trim();
          };
          var body = table.tBodies[0];
          Array.from(body.rows).map(function (tr) { return [key(tr), tr]; }).sort(function (a, b) {
            var order = typeof a[0] === "number" && typeof b[0] === "number" ? a[0] - b[0] : String(a[0]).localeCompare(String(b[0]), document.documentElement.lang, { numeric: true });
            return up ? order : -order;
          }).forEach(function (pair) { body.appendChild(pair[1]); });
        });
      });
    });
  }

  // A button that cannot be undone asks first.
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-confirm]");
    if (button && !window.confirm(button.dataset.confirm)) event.preventDefault();
  });

  // Empty filters do not belong into an address.
  document.addEventListener("submit", function (event) {
    if (event.target.method !== "get") return;
    Array.from(event.target.elements).forEach(function (field) {
      if (field.name && field.value === "") { field.disabled = true; setTimeout(function () { field.disabled = false; }, 0); }
    });
  });
  document.addEventListener("htmx:configRequest", function (event) {
    if (event.detail.verb !== "get") return;
    var parameters = event.detail.parameters;
    Object.keys(parameters).forEach(function (name) { if (parameters[name] === "") delete parameters[name]; });
  });

  // A slider that stands for a moment moves the field beside it.
  function sliders(root) {
    root.querySelectorAll("input[type=range][data-step]").forEach(function (slider) {
      var form = slider.form, field = form && form.querySelector("input[name=as_of]");
      if (!field || slider.dataset.ready) return;
      slider.dataset.ready = "yes";
      var at = function () { return new Date(Date.parse(slider.dataset.from) + Number(slider.value) * Number(slider.dataset.step) * 1e3).toISOString().slice(0, 16); };
      slider.addEventListener("input", function () { field.value = Number(slider.value) >= Number(slider.max) ? "" : at(); });
      slider.addEventListener("change", function () { form.requestSubmit(); });
    });
  }

  function all(root) { plots(root); sorting(root); sliders(root); }
  if (window.matchMedia("(max-width: 63.99rem)").matches) {
    document.querySelectorAll("details[data-narrow-closed]").forEach(function (d) { d.open = false; });
  }
  all(document);
  document.addEventListener("htmx:afterSwap", function () { all(document); });
})();
