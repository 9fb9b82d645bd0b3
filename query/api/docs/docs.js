"use strict";

// element makes an element; text is never taken for HTML.
function element(tag, text, ...children) {
  const e = document.createElement(tag);
  if (text) e.textContent = text;
  e.append(...children);
  return e;
}

function resolve(api, schema) {
  const prefix = "#/components/schemas/";
  return schema && schema.$ref ? api.components.schemas[schema.$ref.slice(prefix.length)] : schema || {};
}

// typeName words a schema in one line.
function typeName(api, schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  const types = [].concat(schema.type || "any");
  const name = types.map(t => t === "array" ? "list of " + typeName(api, schema.items) : t).join(" or ");
  return schema.format ? name + " (" + schema.format + ")" : name;
}

function table(head, rows) {
  const body = rows.map(row => element("tr", "", ...row.map(cell => element("td", String(cell ?? "")))));
  return element("table", "", element("thead", "", element("tr", "", ...head.map(h => element("th", h)))), element("tbody", "", ...body));
}

function fields(api, schema) {
  const { properties = {} } = resolve(api, schema);
  return table(["field", "type", ""], Object.entries(properties).map(([name, s]) => [name, typeName(api, s), s.description]));
}

function schemaOf(api, content, open) {
  const parts = [];
  for (const [media, { schema } = {}] of Object.entries(content || {})) {
    parts.push(element("p", media + ": " + typeName(api, schema)));
    if (media === "application/json" && open) parts.push(...nested(api, schema, new Set()));
  }
  return parts;
}

// nested shows the fields of a schema and of those it refers to, each once.
function nested(api, schema, shown) {
  const parts = [];
  const name = schema && schema.$ref;
  if (name) {
    if (shown.has(name)) return parts;
    shown.add(name);
  }
  const { properties = {} } = resolve(api, schema);
  if (Object.keys(properties).length) {
    if (name) parts.push(element("h4", name.split("/").pop()));
    parts.push(fields(api, schema));
  }
  for (const p of Object.values(properties)) {
    const inner = p.items || p;
    if (inner.$ref) parts.push(...nested(api, inner, shown));
  }
  return parts;
}

function operation(api, path, method, op) {
  const parts = [element("summary", "", element("b", method.toUpperCase()), element("code", path), " " + op.summary)];
  if (op.description) parts.push(element("p", op.description));
  if (op.parameters && op.parameters.length) {
    parts.push(element("h3", "Parameters"), table(["name", "in", "type", "default", ""], op.parameters.map(p => [
      p.name + (p.required ? " *" : ""), p.in, typeName(api, p.schema), p.schema && p.schema.default, p.description || (p.schema && p.schema.description)])));
  }
  if (op.requestBody) parts.push(element("h3", "Body"), ...schemaOf(api, op.requestBody.content, true));
  for (const [status, response] of Object.entries(op.responses)) {
    if (status >= "300") continue;
    parts.push(element("h3", status + " " + (response.description || "")), ...schemaOf(api, response.content, true));
  }
  const others = Object.entries(op.responses).filter(([status]) => status >= "300").map(([status, r]) => status + " " + r.description);
  parts.push(element("p", "Otherwise: " + others.join(", ") + "."));
  return element("details", "", ...parts);
}

async function show() {
  const main = document.getElementById("operations");
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error("/openapi.json answered " + answer.status);
    const api = await answer.json();
    document.getElementById("about").textContent = api.info.description + " Version " + api.info.version + ".";
    for (const tag of api.tags) {
      main.append(element("h2", tag.name), element("p", tag.description));
      for (const [path, methods] of Object.entries(api.paths)) {
        for (const [method, op] of Object.entries(methods)) {
          if (op.tags && op.tags.includes(tag.name)) main.append(operation(api, path, method, op));
        }
      }
    }
  } catch (error) {
    const failed = element("p", "The description of the API cannot be shown: " + error.message);
    failed.className = "failed";
    main.append(failed);
  }
}

show();
