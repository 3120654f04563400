"""Vector stores that come along: plugins of LlamaIndex's stores, whose packages are extras."""
