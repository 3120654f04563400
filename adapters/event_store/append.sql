-- name: append
SELECT request, outcome, first_position, detail
FROM magnet.append(
    %(ev_request)b::integer[], %(ev_stream)b::uuid[], %(ev_version)b::bigint[],
    %(ev_topic)b::text[], %(ev_state)b::bytea[],
    %(rq_command)b::uuid[], %(rq_actor_type)b::text[], %(rq_actor_id)b::text[],
    %(rq_actor_name)b::text[], %(rq_credential)b::text[], %(rq_correlation)b::text[],
    %(rq_causation)b::text[], %(rq_key)b::text[], %(rq_trace)b::text[], %(rq_reason)b::text[],
    %(rq_scope)b::bytea[], %(rq_body_hash)b::bytea[], %(rq_answer)b::bytea[],
    %(rq_position)b::bigint[], %(rq_effects)s::jsonb[])
ORDER BY request
