"""Templates that attack by size or time, and a renderer for a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.rendering.renderer import SandboxedRenderer

BOMBS = {
    "long_text": "{{ 'a' * 999999999 }}",
    "long_text_by_format": "{{ '%999999999d' % 1 }}",
    "long_text_by_format_method": "{{ '{:999999999}'.format(1) }}",
    "long_text_by_filter": "{{ 'a'|center(999999999) }}",
    "long_text_by_method": "{{ 'a'.ljust(999999999) }}",
    "long_list": "{{ [0] * 999999999 }}",
    "nested_range": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "range_too_long": "{% for i in range(1000000000) %}{% endfor %}",
    "doubling": "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "output": "{% for i in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}",
    "join": "{{ range(99999)|map('string')|join('a' * 99999) }}",
    "json": "{% set l = range(99999)|list %}{% set m = [l] * 9999 %}{{ m }}",
    "macro": "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "power": "{{ 9 ** (9 ** 9) }}",
    "power_chain": "{% set ns = namespace(n=9) %}{% for i in range(99) %}{% set ns.n = ns.n ** 9 %}{% endfor %}",
    "digits": "{{ 10 ** 5000 }}",
    "digits_read": "{{ ('9' * 5000)|int + 1 }}{{ 10 ** 5000 }}",
    "slices": "{{ 'a'|batch(999999999, 'x')|list }}",
    "parentheses": "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "lists": "{{ " + "[" * 100_000 + "]" * 100_000 + " }}",
    "negations": "{{ " + "not " * 100_000 + "1 }}",
    "additions": "{{ 1" + "+1" * 200_000 + " }}",
    "attributes": "{{ o" + ".a" * 200_000 + " }}",
    "filters": "{{ 'a'" + "|upper" * 150_000 + " }}",
    "blocks": "{% if b %}" * 100_000,
    "closed_blocks": "{% if b %}" * 45_000 + "{% endif %}" * 45_000,
    "loops": "{% for i in l %}" * 25 + "{% endfor %}" * 25,
    "many_places": "{{ b }}{{ b|upper }}" * 50_000,
    "many_macros": "{% macro a() %}{% endmacro %}" * 30_000,
}


@asynccontextmanager
async def renderer() -> AsyncIterator[SandboxedRenderer]:
    """A renderer that is closed in the end."""
    made = SandboxedRenderer()
    try:
        yield made
    finally:
        await made.close()
