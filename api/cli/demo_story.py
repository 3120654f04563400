"""The story that `magnet demo` tells: a support team changes the prompt that answers its customers."""

from typing import Any

from api.cli.connection import NotThere
from api.cli.telling import Teller

NAME = "support-reply"

FIRST_TEXT = """\
You answer customers of a shop for bicycle parts. Be brief and friendly.

Customer: {{ customer }}
Order: {{ order | default("none given") }}
Message:
{{ message }}

Answer in the customer's language."""

SECOND_TEXT = """\
You answer customers of a shop for bicycle parts. Be brief and friendly.
Our return policy: 30 days, unused, we pay the postage. Never promise a refund before we have the part.

Customer: {{ customer }}
Order: {{ order | default("none given") }}
Message:
{{ message }}

Answer in the customer's language. End with the next step that the customer should take."""

HASTY_TEXT = """\
Answer: {{ message }}"""

MAIL: dict[str, Any] = {
    "customer": "Ana Sørensen",
    "order": "2024-11873",
    "message": (
        "Hi! The brake pads I ordered on Tuesday don't fit my Shimano BR-M8100 calliper :-( "
        "The bag says {{D03S}}, I need N04C. Can I send them back, and what does it cost me?"
    ),
}


async def tell(teller: Teller) -> list[str]:
    """Tell it, and return the addresses of what it made."""
    name = await free_name(teller)
    path = f"/v1/prompts/{name}"

    teller.chapter(
        "A prompt is made", "Version 1 is live at once. The answer is a receipt: id, version, place in the log."
    )
    created = await teller.post(
        "/v1/prompts",
        {
            "name": name,
            "title": "Reply to a customer",
            "tags": ["support"],
            "text": FIRST_TEXT,
            "variables": {"customer": {"schema": {"type": "string"}}, "message": {}, "order": {"required": False}},
            "temperature": 0.2,
            "message": "First version, from the support handbook",
        },
    )

    teller.chapter("It is tried on a real mail", "The customer wrote {{D03S}}: values are never taken for templates.")
    rendered = await preview(teller, name, "live")
    teller.block("what a model would be given", rendered)

    teller.chapter(
        "The wording is improved", "Each change is an event with a reason. It stays a draft: version 1 still runs."
    )
    changed = await teller.patch(path, {"text": SECOND_TEXT, "message": "Say our return policy, ask for a next step"})
    now = await teller.get(path, show=dict.fromkeys(("version", "live_version", "draft")))
    teller.say(f"version {now['version']} is a draft, version {now['live_version']} runs")

    teller.chapter("What would change?", "Any two versions can be compared.")
    difference = await teller.get(f"{path}/diff", show={}, **{"from": created["version"], "to": changed["version"]})
    for change in difference["changes"]:
        teller.block(f"{change['path']} before", str(change["before"]))
        teller.block(f"{change['path']} after", str(change["after"]))

    teller.chapter("The draft is published", "One command, effective with the next request.")
    await teller.post(f"{path}/publish", {"version": changed["version"], "message": "Reviewed by the support lead"})
    good = await teller.get(path, show=dict.fromkeys(("version", "live_version", "updated_at")))

    teller.chapter("Friday, 17:00", "Somebody shortens it and publishes in the same command.")
    hasty = await teller.patch(path, {"text": HASTY_TEXT, "message": "shorter!!"}, publish="true")
    teller.block("what a model would be given now", await preview(teller, name, "live"))

    teller.chapter("Back to what worked", "A rollback is a new version equal to an old one; nothing is lost.")
    back = await teller.post(
        f"{path}/rollback", {"version": good["version"], "message": "Answers lost the order number"}
    )
    live = await teller.get(path, show=dict.fromkeys(("version", "live_version", "draft")), label="live")
    teller.say(f"version {live['version']} runs, and says the same as version {changed['version']}")

    teller.chapter("What ran a moment ago?", "Every past state can be read, by version or by time.")
    past = await teller.get(path, show=dict.fromkeys(("version", "text")), as_of=good["updated_at"])
    teller.say(f"at that time it was at version {past['version']}, before version {hasty['version']} came and went")

    teller.chapter("Who did what, and why?", "The history of the prompt, the newest first.")
    history = await teller.get(f"{path}/history", show={})
    for item in history["items"]:
        told = f"{item['version']:>3}  {item['type']:<28} {item['actor']['name']:<12} {item['reason'] or ''}"
        teller.say(told)

    teller.chapter("All of it is one log", "What was just shown is read from these events; none is ever changed.")
    log = await teller.get("/v1/events", show={}, aggregate=created["id"], limit=50)
    for event in log["items"]:
        teller.say(f"position {event['position']:<5} {event['type']:<28} sha256 {event['hash'][:16]}…")

    return [path, f"{path}?version={back['version'] - 1}", f"{path}/history", "/v1/events?kind=prompt"]


async def preview(teller: Teller, name: str, label: str) -> str:
    """Render a prompt with the mail and return the text."""
    body = {"prompt": name, "label": label, "variables": MAIL}
    answer = await teller.post("/v1/prompts:preview", body, show={})
    return str(answer["messages"][0]["content"])


async def free_name(teller: Teller) -> str:
    """Return a name that no prompt has yet; names are never used twice."""
    number = 1
    while True:
        name = NAME if number == 1 else f"{NAME}-{number}"
        try:
            await teller.connection.get(f"/v1/prompts/{name}")
        except NotThere:
            return name
        number += 1
