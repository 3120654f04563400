-- name: append
SELECT head, outcomes FROM magnet.append(
    %(requests)s,
    %(ev_request)s, %(ev_stream)s, %(ev_version)s, %(ev_topic)s, %(ev_state)s,
    %(ev_command)s, %(ev_actor_type)s, %(ev_actor_id)s, %(ev_actor_name)s,
    %(ev_credential)s, %(ev_correlation)s, %(ev_causation)s, %(ev_key)s,
    %(ev_trace)s, %(ev_reason)s,
    %(rq_scope)s, %(rq_body_hash)s, %(rq_answer)s, %(rq_position)s,
    %(rq_effects)s, %(resent)s)

-- name: prepared  -- the same by position, to be prepared once for each connection
SELECT head, outcomes FROM magnet.append(
    $1,
    $2, $3, $4, $5, $6,
    $7, $8, $9, $10,
    $11, $12, $13, $14,
    $15, $16,
    $17, $18, $19, $20,
    $21, $22)
