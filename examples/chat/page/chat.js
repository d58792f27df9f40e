import { connect } from "/holdfast/client.js";

const element = (id) => document.getElementById(id);
const room = decodeURIComponent(location.hash.slice(1)) || "lobby";
const messages = element("messages");

const client = connect(location.origin, {
  api: `${location.origin}/api`,
  socket: { withCredentials: true },
});
const channel = client.channel(room);

/** Entries still to come that were published while this tab was away. */
let missed = 0;

function show(item) {
  const main = messages.parentElement;
  const atEnd = main.scrollHeight - main.scrollTop - main.clientHeight < 40;
  messages.append(item);
  if (atEnd) item.scrollIntoView({ block: "end" });
}

function span(className, text) {
  const part = document.createElement("span");
  part.className = className;
  part.textContent = text;
  return part;
}

function note(text, bad = false) {
  const item = document.createElement("li");
  item.className = bad ? "note bad" : "note";
  item.textContent = text;
  show(item);
}

function setState(state) {
  element("state").dataset.state = state;
  element("state").textContent = state;
}

function showPod() {
  const name = document.createElement("strong");
  name.textContent = client.node;
  element("pod").replaceChildren("on pod ", name);
}

client.on("disconnect", () => setState("reconnecting"));

channel.on("subscribed", ({ recovered, missed: count }) => {
  setState("connected");
  showPod();
  if (recovered) {
    missed = count;
    note(`Back, on pod ${client.node}: ${count} missed ${count === 1 ? "message" : "messages"} recovered`);
  } else if (messages.childElementCount > 0) {
    note(`Back, on pod ${client.node}, but the log no longer reaches to where this tab was`, true);
  } else {
    note(`Joined ${room}`);
  }
});

channel.on("reset", () => note("The broker lost its log: messages may be missing here.", true));

channel.on("message", ({ offset, data }) => {
  const item = document.createElement("li");
  item.append(
    span("offset", `#${offset}`),
    span("author", data?.author ?? "?"),
    span("text", data?.text ?? ""),
  );
  if (missed > 0) {
    missed -= 1;
    item.className = "missed";
    item.title = "Published while this tab was away";
  }
  show(item);
});

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = element("text").value;
  element("text").value = "";
  try {
    await client.publish(room, "message", { author: element("author").value, text });
  } catch (error) {
    element("text").value = text;
    note(`Not sent: ${error.message}`, true);
  }
});

addEventListener("hashchange", () => location.reload());
element("room").textContent = `#${room}`;
element("author").value = `guest-${Math.floor(Math.random() * 1000)}`;
await channel.subscribe();
