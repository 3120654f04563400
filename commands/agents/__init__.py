"""What agents do to answer: their loop, actions, topics, limits and guardrails."""
