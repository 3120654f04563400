// What is asked of the server: a conversation with its token, messages, and the streams of answers.

const ENDS = new Set(["turn.completed", "turn.failed", "turn.cancelled", "turn.awaiting_confirmation"]);
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8000;
const MOST_TRIES = 8;

class Refusal extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

function secret() {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function kept(name) {
  // A browser that keeps nothing has a conversation that ends with the page.
  let inPage = {};
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(name)) ?? inPage;
    } catch {
      return inPage;
    }
  };
  const write = (value) => {
    inPage = value;
    try {
      localStorage.setItem(name, JSON.stringify(value));
    } catch {
      return;
    }
  };
  return { read, write };
}

async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = { id: null, type: "message", data: null };
        for (const line of text.slice(0, end).split("\n")) {
          if (line.startsWith("id: ")) event.id = line.slice(4);
          else if (line.startsWith("event: ")) event.type = line.slice(7);
          else if (line.startsWith("data: ")) event.data = JSON.parse(line.slice(6));
        }
        text = text.slice(end + 2);
        if (event.data !== null) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

class Client {
  constructor(base, channel) {
    this.base = base;
    this.channel = `${base}/v1/channels/${encodeURIComponent(channel)}`;
    this.store = kept(`magnet-chat ${this.channel}`);
    this.token = null;
    this.beganAnew = () => undefined;
  }

  get conversation() {
    return this.store.read().conversation ?? null;
  }

  forget() {
    this.store.write({ ...this.store.read(), conversation: null });
    this.token = null;
  }

  async describe() {
    return (await this.checked(await fetch(`${this.channel}/chat`))).json();
  }

  async visit() {
    const visitor = this.store.read().visitor ?? secret();
    const conversation = this.conversation;
    this.store.write({ visitor, conversation });
    const body = JSON.stringify({ visitor, conversation });
    const response = await fetch(`${this.channel}/conversations`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
    if (conversation !== null && (response.status === 404 || response.status === 409)) {
      this.forget();
      this.beganAnew();
      return this.visit();
    }
    const made = await (await this.checked(response)).json();
    this.store.write({ visitor, conversation: made.id });
    this.token = made.token;
    return made;
  }

  async call(method, path, body = null, headers = {}, again = true) {
    // When a token has ended, the server says: our clock may be wrong.
    if (this.token === null) await this.visit();
    const sent = { Authorization: `Bearer ${this.token}`, ...headers };
    if (body !== null) sent["Content-Type"] = "application/json";
    const response = await fetch(`${this.base}/v1/conversations/${this.conversation}${path}`, {
      method,
      headers: sent,
      body: body === null ? undefined : JSON.stringify(body),
    });
    if (response.status === 401 && again) {
      this.token = null;
      return this.call(method, path, body, headers, false);
    }
    return this.checked(response);
  }

  async checked(response) {
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw new Refusal(response.status, problem.code ?? "failed");
  }

  async post(path, body, key = secret()) {
    return (await this.call("POST", path, body, { "Idempotency-Key": key })).json();
  }

  async see() {
    return (await this.call("GET", "")).json();
  }

  async *follow(turn) {
    let last = null;
    let pause = FIRST_PAUSE;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      try {
        const headers = last === null ? {} : { "Last-Event-ID": last };
        const response = await this.call("GET", `/turns/${turn}/stream`, null, headers);
        if (response.status === 204) return;
        for await (const event of events(response.body)) {
          [last, pause, tries] = [event.id, FIRST_PAUSE, 0];
          yield event;
          if (ENDS.has(event.type)) return;
        }
      } catch (error) {
        if (error instanceof Refusal && error.status < 500) throw error;
      }
      yield { type: "offline", data: {} };
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
    throw new Refusal(0, "unreachable");
  }
}
