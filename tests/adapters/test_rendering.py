"""Rendering: what templates give, what they may not do, and that nothing they do hurts others."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from adapters.rendering.renderer import SandboxedRenderer
from commands.ports import Template
from domain.errors import Invalid
from domain.rendering import MissingVariable, RenderingError
from tests.support.rendering import BOMBS, renderer

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Rendered:
    """What one renderer makes of templates: its start takes as long as many of them."""

    def __init__(self, one: SandboxedRenderer) -> None:
        self.one = one

    async def text(self, source: str, includes: dict[str, str] | None = None, /, **variables: Any) -> str:
        return (await self.one.render([Template(name="/text", source=source)], variables, includes or {}))[0]

    async def refusal(self, source: str, includes: dict[str, str] | None = None, /, **variables: Any) -> RenderingError:
        with pytest.raises(RenderingError) as raised:
            await self.text(source, includes, **variables)
        return raised.value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rendered() -> AsyncIterator[Rendered]:
    async with renderer() as one:
        yield Rendered(one)


# What a template gives ------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{a}}{{b}}", "{{b}}B"),
        ("{% if b %}{{a}}{% endif %}{{ b|lower }}", "{{b}}b"),
        ("{{ l }} {{ o }}", '["é",1,true,null] {"x":{"z":1.5},"k":[]}'),
        ("{{ 'list: ' ~ l }} {{ l|string }} {{ [l]|join }}", 'list: ["é",1,true,null] ' + '["é",1,true,null] ' * 2),
        ("{{ n }}|{{ yes }}|{{ no }}|{{ none }}|{{ true }}", "|true|false||true"),
        ("{{ 1e22 }} {{ -0.0 }} {{ f }} {{ i }}", "1e+22 -0.0 0.1 9007199254740993"),
        ("{{ o.x.z }} {{ o['x'] }} {{ l[0] }}", '1.5 {"z":1.5} é'),
        ("{{ l|map('string')|list }} {{ range(3) }}", '["é","1","true",""] [0,1,2]'),
        ("{{ '<b>&\"' }}{{ html }}{{ html|tojson }}", '<b>&"<i>&amp;</i>"<i>&amp;</i>"'),
        ("{{ missing|default('x') }}{% if missing is defined %}y{% endif %}", "x"),
        ("{% for k, v in o.items() %}{{ k }}{{ loop.index }}{% endfor %}", "x1k2"),
        ("{% set ns = namespace(t=0) %}{% for i in range(4) %}{% set ns.t = ns.t + i %}{% endfor %}{{ ns.t }}", "6"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(l) }}", '<["é",1,true,null]>'),
        ("{% raw %}{{ a }}{% endraw %}{# gone #}", "{{ a }}"),
        ("no template at all } } {", "no template at all } } {"),
        ('10:30 https://x "q" (a)\r\n\t{{ b }}\r\n\r{% if b %} {% endif %}\n\n', '10:30 https://x "q" (a)\r\n\tB\r\n\r \n\n'),
        ("{{ '\r\n' }}{%- if b %}\r\n\u2028x\r{% endif %}{{b}}  \r\n", "\r\n\r\n\u2028x\rB  \r\n"),
        ('{"json": {{ l }}, "b": "{{b}}"}', '{"json": ["é",1,true,null], "b": "B"}'),
    ],
)  # fmt: skip
async def test_a_template_gives_this_text(rendered: Rendered, source: str, expected: str) -> None:
    variables = {
        "a": "{{b}}", "b": "B", "l": ["é", 1, True, None], "o": {"x": {"z": 1.5}, "k": []}, "n": None,
        "yes": True, "no": False, "f": 0.1, "i": 2**53 + 1, "html": "<i>&amp;</i>",
    }  # fmt: skip
    assert await rendered.text(source, **variables) == expected.removesuffix(" " if "join" in source else "")


@pytest.mark.parametrize(
    "value", ["{{7*7}}", "{% x %}", "${7*7}", "'\";--", "%s%n", "{# #}", "\u202e", "=cmd|x", "\r\n"]
)
async def test_a_value_is_never_rendered_again(rendered: Rendered, value: str) -> None:
    assert await rendered.text("{{ v }}{% if v %}{{ v }}{% endif %}", v=value) == value * 2
    assert await rendered.text("{{ l }}", l=[value]) == orjson.dumps([value]).decode()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ order.items }}", '["tea","jam"]'),
        ("{% for each in order.items %}{{ each }},{% endfor %}", "tea,jam,"),
        ("{{ order.items|length }} {{ order.items[1] }} {{ order.keys.count }} {{ order.get }}", "2 jam 3 {}"),
        ("{% for key, value in order.items() %}{{ key }} {% endfor %}{{ order.get('keys') }}", 'items keys get {"count":3}'),
        ("{{ order.values is defined }} {{ order.lost is defined }} {{ (order.items or [1])|first }}", "true false tea"),
    ],
)  # fmt: skip
async def test_a_field_goes_before_a_method_of_its_name_unless_it_is_called(
    rendered: Rendered, source: str, expected: str
) -> None:
    order = {"items": ["tea", "jam"], "keys": {"count": 3}, "get": {}}
    assert await rendered.text(source, order=order) == expected


async def test_a_missing_variable_is_named_with_its_place(rendered: Rendered) -> None:
    for source in ("\n{{ who }}", "\n{% if who %}{% endif %}", "\n{{ who|upper }}", "\n{% for x in who %}{% endfor %}"):
        error = await rendered.refusal(source, other=1)
        assert (error.error_code, error.line) == ("missing_variable", 2)
        assert error.errors[0].pointer == "/variables/who"
        assert "'who'" in str(error)


async def test_a_missing_field_of_a_variable_is_named_with_its_path(rendered: Rendered) -> None:
    error = await rendered.refusal("{{ user.address.city }}", user={"address": {"zip": "x"}})
    assert isinstance(error, MissingVariable)
    assert error.errors[0].pointer == "/variables/user/address/city"
    assert "'user.address.city'" in str(error)


async def test_an_include_sees_the_variables_and_no_label_means_live(rendered: Rendered) -> None:
    includes = {"greeting@live": "Hi {{ name }}.\r\n", "legal@v2": "{% include 'greeting' %}!"}
    made = await rendered.text(
        "{% include 'greeting' %}{% include \"legal@v2\" %}{% include 'greeting@live' %}", includes, name="{{x}}"
    )
    assert made == "Hi {{x}}.\r\nHi {{x}}.\r\n!Hi {{x}}.\r\n"


async def test_a_missing_include_is_named(rendered: Rendered) -> None:
    error = await rendered.refusal("\n{% include 'nope@v9' %}", {"other@live": ""})
    assert (error.error_code, error.line) == ("missing_include", 2)
    assert "'nope@v9'" in str(error)
    assert await rendered.text("a{% include 'nope' ignore missing %}b") == "ab"


async def test_a_recursive_include_is_refused(rendered: Rendered) -> None:
    assert (
        await rendered.refusal("{% include 'a' %}", {"a@live": "{% include 'a@live' %}"})
    ).error_code == "recursive_include"
    loop = {"a@live": "{% include 'b' %}", "b@live": "{% if false %}{% include 'a' %}{% endif %}"}
    assert (await rendered.refusal("{% include 'a' %}", loop)).error_code == "recursive_include"


async def test_a_syntax_error_names_template_and_line_and_no_text_of_it(rendered: Rendered) -> None:
    for source in (
        "\n\n{{ sEcReT sEcReT }}",
        "\n\n{% sEcReT %}",
        "\n\n{{ a|sEcReT }}",
        "\n\n{% if sEcReT",
        "\n\n{{ sEcReT $ }}",
    ):
        error = await rendered.refusal(source, a="a")
        assert (error.error_code, error.template, error.line) == ("template_syntax", "/text", 3)
        assert error.errors[0].pointer == "/text"
        assert "sEcReT" not in str(error)


async def test_an_expression_that_fails_tells_no_value(rendered: Rendered) -> None:
    for source in ("{{ 1 / zero }}", "{{ s + 1 }}", "{{ s.encode('utf-7').decode('x') }}", "{{ '\\ud800' }}", "{{ '\\x00' }}",
                   "{{ 1e308 * 10 }}", "{{ dict(a=1e308*10).a }}", "{{ s() }}", "{{ s % 1 }}"):  # fmt: skip
        error = await rendered.refusal(source, zero=0, s="sEcReT")
        assert error.error_code in ("rendering_failed", "template_syntax", "template_forbidden")
        assert "sEcReT" not in str(error)


@pytest.mark.parametrize("value", ["\ud800", {"a": ["\udfff\ud800"]}, 2**64, [10**5000], {1, 2}])
async def test_variables_that_are_no_json_are_refused(rendered: Rendered, value: Any) -> None:
    error = await rendered.refusal("{{ v|upper }}{{ v }}", v=value)
    assert (error.error_code, error.errors[0].pointer) == ("invalid_variables", "/variables")
    assert (await rendered.refusal("{{ v }}", v=value)).error_code == "invalid_variables"


# What a template may not do ---------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__']['__mro__'][1].__subclasses__() }}",
        "{{ ''|attr('__class__') }}",
        "{{ ''|attr('__cla' ~ 'ss__')|attr('__mro__') }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ '{a.__class__}'.format_map({'a': 1}) }}",
        "{{ ('{0.__class__}'|attr('format'))(1) }}",
        "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
        "{{ ['{0.__class__}']|map('format', 1)|first.format(1) }}{{ '{0.__class__}'.format(1) }}",
        "{{ self.__init__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ range.__class__ }}",
        "{{ dict.mro() }}",
        "{{ dict.__subclasses__() }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ joiner.__init__ }}",
        "{{ url_for.__globals__ }}",
        "{{ request }}",
        "{{ config }}",
        "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
        "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
        "{% for x in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
        "{% set g = (x for x in y) %}",
        "{% set gen = [1]|map('string') %}{{ gen.gi_frame.f_globals }}",
        "{{ l.append(2) }}",
        "{{ o.update({'a': 1}) }}",
        "{% include l %}",
        "{% include ['a', 'b'] %}",
        "{% include '/etc/passwd' %}",
        "{% include '../child.py' %}",
        "{% import 'os' as os %}",
        "{% from 'a' import b %}",
        "{% extends 'a' %}",
        "{{ b|random }}",
        "{{ b.encode() }}",
        "{% do l.append(1) %}",
        "{{ ''.join }}",
    ],
)
async def test_nothing_of_python_is_in_reach(rendered: Rendered, source: str) -> None:
    error = await rendered.refusal(source, l=[1], o={}, b="B")
    assert isinstance(error, Invalid)
    assert error.error_code in (
        "template_forbidden",
        "template_syntax",
        "missing_variable",
        "missing_include",
        "rendering_failed",
    )


async def test_a_reach_for_python_is_told_as_forbidden(rendered: Rendered) -> None:
    assert (await rendered.refusal("\n{{ ''.__class__ }}")).error_code == "template_forbidden"
    assert (await rendered.refusal("{{ '{0.__class__}'.format(1) }}")).error_code == "template_forbidden"
    assert (await rendered.refusal("{{ l.append(1) }}", l=[])).error_code == "template_forbidden"


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_bomb_ends_with_an_error_of_its_own(rendered: Rendered, bomb: str) -> None:
    error = await rendered.refusal(BOMBS[bomb], b="B", l=[1], o={})
    assert error.error_code in {"rendering_limit"} | ({"template_syntax"} if bomb == "blocks" else set())


async def test_a_megabyte_of_source_is_text_or_an_error(rendered: Rendered) -> None:
    assert await rendered.text("x" * 1_000_000) == "x" * 1_000_000
    assert await rendered.text("{% if b %}" + "x" * 1_000_000 + "{% endif %}", b=1) == "x" * 1_000_000
    assert (await rendered.refusal("{{" + "a" * 1_000_000 + "}}")).error_code == "missing_variable"
    assert (await rendered.refusal("{# " + "x" * 1_048_576 + " #}")).error_code == "template_too_large"
    assert (await rendered.refusal("{" * 1_000_000)).error_code in ("template_syntax", "rendering_limit")


async def test_an_error_repeats_nothing_long_of_a_template(rendered: Rendered) -> None:
    for source in (
        "{{" + "a" * 1_000_000 + "}}",
        "{% include '" + "a" * 1_000 + "' %}",
        "{% if " + "b" * 99_999 + " %}{% endif %}",
    ):
        error = await rendered.refusal(source)
        assert len(str(error)) + len(error.errors[0].pointer) < 300


async def test_text_of_a_call_is_limited_in_all(rendered: Rendered) -> None:
    value = "é" * 300_000
    twice = [Template(name=str(n), source="{{ v }}") for n in range(2)]
    with pytest.raises(RenderingError) as raised:
        await rendered.one.render(twice, {"v": value}, {})
    assert raised.value.error_code == "rendering_limit"
    assert await rendered.one.render(twice[:1], {"v": value}, {}) == [value]


async def test_checking_tells_what_a_template_needs(rendered: Rendered) -> None:
    sources = [
        "plain",
        "{{ a }}{% for x in b %}{{ x.c }}{% endfor %}{{ range(2) }}",
        "{% include 'p@live' %}{% set z = 1 %}{{ z }}",
    ]
    templates = [Template(name=str(n), source=source) for n, source in enumerate(sources)]
    assert await rendered.one.check(templates) == [set(), {"a", "b"}, set()]
    assert [included for _, included in await rendered.one.needs(templates)] == [set(), set(), {"p@live"}]
    assert await rendered.one.check(templates[:1]) == [set()]


@pytest.mark.parametrize("bomb", ["parentheses", "blocks", "loops", "additions", "many_macros"])
async def test_checking_a_bomb_ends_with_an_error(rendered: Rendered, bomb: str) -> None:
    with pytest.raises(RenderingError) as raised:
        await rendered.one.check([Template(name="t", source=BOMBS[bomb])])
    assert raised.value.error_code in ("rendering_limit", "template_syntax")


async def test_checking_tells_what_can_never_be_rendered(rendered: Rendered) -> None:
    for source, code in (
        ("{{ a", "template_syntax"), ("{% extends 'a' %}", "template_forbidden"),
        ("{% include a %}", "template_forbidden"), ("{{ a|nope }}", "template_syntax"),
    ):  # fmt: skip
        with pytest.raises(RenderingError) as raised:
            await rendered.one.check([Template(name="t", source=source)])
        assert raised.value.error_code == code
