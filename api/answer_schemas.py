"""The JSON schemas of what searches and answers give."""

from collections.abc import Mapping
from typing import Any

from api.call import Parameter

DOCUMENT: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "version": {"type": "integer"},
        "external_id": {"type": "string"},
        "title": {"type": "string"},
        "url": {"type": ["string", "null"]},
    },
}
PASSAGE: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "text", "score", "scores", "document", "start", "end", "page", "metadata"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "text": {"type": "string"},
        "score": {"type": "number", "description": "The one by which it stands where it does: of the last stage."},
        "scores": {
            "type": "object",
            "properties": {
                name: {"type": ["number", "null"]} for name in ("vector", "lexical", "fused", "weighed", "rerank")
            },
        },
        "document": DOCUMENT,
        "start": {"type": "integer", "description": "Characters from the beginning of the document's text."},
        "end": {"type": "integer"},
        "page": {"type": ["integer", "null"], "minimum": 1},
        "heading": {"type": ["string", "null"]},
        "language": {"type": ["string", "null"], "description": "Of the document's text, such as `de`."},
        "metadata": {"type": "object"},
        "also_in": {
            "type": "array",
            "description": "Where the very same text was found besides: it is given once.",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "document": DOCUMENT,
                    "source_id": {"type": "string", "format": "uuid"},
                    "start": {"type": "integer"},
                    "end": {"type": "integer"},
                },
            },
        },
        "highlights": {
            "type": ["array", "null"],
            "description": "Only with `highlight`: from and to which character of `text` a word of the query matches.",
            "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        },
    },
}
FACETS: Mapping[str, Any] = {
    "type": ["object", "null"],
    "description": "Only with `facets`: for each field how many of the documents that were found, before `limit`, have "
    "which value. At most 50 values are told, the commonest first; there are `further` ones.",
    "additionalProperties": {
        "type": "object",
        "properties": {
            "values": {
                "type": "array",
                "items": {"type": "object", "properties": {"value": {}, "documents": {"type": "integer"}}},
            },
            "further": {"type": "integer"},
            "missing": {"type": "integer", "description": "Documents without the field."},
            "documents": {"type": "integer", "description": "All documents that were found."},
        },
    },
}
FOUND: Mapping[str, Any] = {
    "passages": {"type": "array", "items": PASSAGE},
    "retrieval": {"enum": ["hybrid", "vector", "lexical"], "description": "What was really possible."},
    "notes": {"type": "array", "items": {"type": "string"}, "description": "Why less was done than asked for."},
    "rewrite": {
        "type": ["object", "null"],
        "description": "The `query` that was searched for instead, and the `model`; or `failed`, with the code.",
    },
    "translate": {
        "type": ["object", "null"],
        "description": "The `query` that was searched for besides the one that was given, and the `model`; or `failed`, "
        "with the code.",
    },
    "multi_query": {
        "type": ["object", "null"],
        "description": "The `queries` that were searched for besides, and the `model`; or `failed`, with the code.",
    },
    "rerank": {
        "type": ["object", "null"],
        "description": "What came of reranking: the `model`, how many `passages` it was given and left `unscored`; "
        "or `failed`, with the code: then the order is that in which they were found.",
    },
    "index_version": {
        "type": "object",
        "description": "Source id -> index that answered.",
        "additionalProperties": {"type": "integer"},
    },
}
TIMINGS: Mapping[str, Any] = {
    "type": "object",
    "description": "Milliseconds by stage, and `total`.",
    "additionalProperties": {"type": "number"},
}
SPENT: Mapping[str, Any] = {
    "usage": {"type": "object"},
    "cost": {"type": "object"},
    "run_id": {"type": "string", "format": "uuid"},
}
EXPLAIN = Parameter(
    name="explain",
    schema={"type": "boolean", "default": False},
    description="Tell how the search came to its order; needs the permission search:explain.",
)
PLACE: Mapping[str, Any] = {
    "type": ["object", "null"],
    "properties": {"rank": {"type": "integer", "minimum": 1}, "score": {"type": "number"}},
}
EXPLAINED: Mapping[str, Any] = {
    "type": "object",
    "description": "Only with `explain=true`: where each passage that was found stood in each stage, and the plans.",
    "properties": {
        "passages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "queries": {
                        "type": "array",
                        "description": "For each query that was searched for, in their order.",
                        "items": {"type": "object", "properties": dict.fromkeys(("vector", "lexical", "fused"), PLACE)},
                    },
                    "fused": PLACE,
                    "weighed": PLACE,
                    "rerank": PLACE,
                    "factors": {
                        "type": "object",
                        "description": "What the score was multiplied by: that of its `source`, and of its `age`.",
                        "additionalProperties": {"type": "number"},
                    },
                },
            },
        },
        "statements": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "space": {"type": ["string", "null"], "description": "That of the vectors; null: words only."},
                    "index_version": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "plan": {"type": ["string", "null"], "description": "PostgreSQL's; null: nothing to be asked."},
                },
            },
        },
    },
}
SEARCH_ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["passages", "retrieval", "filter", "timings_ms", "index_version", "usage", "cost", "run_id"],
    "properties": {
        **FOUND,
        "filter": {"type": ["object", "null"], "description": "The caller's filter as it was understood."},
        "facets": FACETS,
        "timings_ms": TIMINGS,
        "explain": EXPLAINED,
        **SPENT,
    },
}
ANSWER: Mapping[str, Any] = {
    "type": "object",
    "required": ["text", "citations", "resolution", "passages", "retrieval", "model", "usage", "cost", "run_id"],
    "properties": {
        "text": {"type": "string"},
        "citations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["marker", "passage_id", "document_id", "document_version", "start", "end"],
                "properties": {
                    "marker": {"type": "string"},
                    "passage_id": {"type": "string", "format": "uuid"},
                    "document_id": {"type": "string", "format": "uuid"},
                    "document_version": {"type": "integer"},
                    "start": {"type": "integer"},
                    "end": {"type": "integer"},
                },
            },
        },
        "invented_citations": {"type": "integer", "description": "Markers that pointed at nothing and were removed."},
        "resolution": {"enum": ["answered", "not_answered", "no_results"]},
        "filter": {"type": ["object", "null"], "description": "The caller's filter as it was understood."},
        "timings_ms": TIMINGS,
        **FOUND,
        "language": {
            "type": ["object", "null"],
            "description": "Where the tool has `languages`: in which the `question` is, and the `answer` is to be; null: "
            "not known.",
            "properties": {name: {"type": ["string", "null"]} for name in ("question", "answer")},
        },
        "grounding": {
            "type": ["object", "null"],
            "description": "Where the tool has `grounding`: which sentences of `text` which passages support, found out by "
            "which method (`overlap`: by words); or `failed`, with the code. `withheld`: `no_answer` is said instead.",
            "properties": {
                "method": {"enum": ["model", "similarity", "overlap"]},
                "model": {"type": ["object", "null"]},
                "score": {"type": "number", "description": "The part of the sentences that is supported."},
                "passed": {"type": "boolean"},
                "withheld": {"type": "boolean"},
                "failed": {"type": "string"},
                "sentences": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "start": {"type": "integer"},
                            "end": {"type": "integer"},
                            "supported": {"type": "boolean"},
                            "passages": {"type": "array", "items": {"type": "string", "format": "uuid"}},
                            "score": {"type": ["number", "null"]},
                        },
                    },
                },
            },
        },
        "category": {
            "type": ["string", "null"],
            "description": "The one of the tool's `categories` that it belongs to.",
        },
        "processed": {"type": ["object", "null"], "description": "What the tool's `post_processing` told."},
        "model": {"description": "The model that answered; `extractive`: passages are quoted; `none`: nothing found."},
        **SPENT,
    },
}
