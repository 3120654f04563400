"""Magnet as an MCP server at /mcp: what is configured here, as tools and prompts of other people's agents."""
