"""AgentOS of agno as its documentation begins it: one agent, SQLite, one worker. Runs in the peers' environment."""

import sys

import uvicorn
from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.openai import OpenAIChat
from agno.os import AgentOS


def main() -> None:
    """Serve on a port: an agent over a model server, which is told what was said before."""
    url, port, file = sys.argv[1:]
    agent = Agent(
        id="helper",
        name="helper",
        model=OpenAIChat(id="m", api_key="none", base_url=url),
        instructions="You help.",
        db=SqliteDb(db_file=file),
        add_history_to_context=True,
        num_history_runs=3,
        telemetry=False,
    )
    app = AgentOS(id="bench", agents=[agent], telemetry=False).get_app()
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
