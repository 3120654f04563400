-- Thai, Lao, Burmese, Khmer; signs of repetition, Hiragana, Katakana; Chinese; Korean; narrow Katakana; rare Chinese: their
-- words are not told apart by blanks, or have endings joined to them. Ranges of a regular expression.
CREATE FUNCTION magnet.unspaced_signs() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '\u0E01-\u0E3A\u0E40-\u0E4E\u0E80-\u0EFF\u1000-\u109F\u1780-\u17FF\u3005\u3007\u3041-\u3096\u309D-\u309F'
    '\u30A1-\u30FA\u30FC-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\uFF66-\uFF9D'
    '\U00020000-\U000323AF';

-- A whole clause would be one word, which no query has. So each two of these signs that stand together are a word as well,
-- and each sign of Chinese by itself; of 30,000 signs at most, since a tsvector holds 1 MB.
CREATE FUNCTION magnet.unspaced_words(told text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT string_agg(CASE WHEN c.next <> ' ' THEN c.sign || c.next || ' ' ELSE '' END
        || CASE WHEN ascii(c.sign) BETWEEN 13312 AND 40959 OR ascii(c.sign) BETWEEN 63744 AND 64255
            OR ascii(c.sign) >= 131072 THEN c.sign ELSE '' END, ' ')
    FROM (SELECT t.sign, lead(t.sign) OVER () AS next
        FROM string_to_table(left(regexp_replace(told, '[^' || magnet.unspaced_signs() || ']+', ' ', 'g'), 30000), NULL)
            AS t (sign)) AS c
    WHERE c.sign <> ' ');

-- Words of other scripts that stand right beside such signs are words of their own.
CREATE OR REPLACE FUNCTION magnet.words(config text, told text) RETURNS tsvector LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_tsvector(config::regconfig,
    replace(replace(replace(replace(replace(replace(
        CASE WHEN octet_length(told) = length(told) THEN told ELSE concat_ws(' ',
            regexp_replace(told, '([' || magnet.unspaced_signs() || ']+)', ' \1 ', 'g'), magnet.unspaced_words(told)) END,
        '.', ' '), '/', ' '), '_', ' '), ':', ' '), '@', ' '), '\', ' '));
