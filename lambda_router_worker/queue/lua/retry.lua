#!lua flags=allow-oom
-- Puts a running job back for another attempt after a delay. After its last attempt it becomes a dead letter.
-- Safe to send twice.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- ARGV  1 id  2 token  3 delay ms  4 attempts allowed  5 code, cut to 64 bytes  6 message, cut to 4 KiB
-- Answers 'scheduled', 'dead', 'lost', 'gone', or the current status of the job

local id = ARGV[1]
local record = read_leased('attempts', 'store')
local stop = fenced_out(record, ARGV[2])
if stop then return stop end
if record.retried_token == ARGV[2] then return record.status == 'failed' and 'dead' or 'scheduled' end
if record.status ~= 'in_progress' then return record.status end

local now = now_ms()
local envelope = entry_envelope(record.stream_id)
redis.call('HSET', keys.job, 'retried_token', ARGV[2])
if number(record.attempts, 0) >= tonumber(ARGV[4]) or not envelope then
  bury(record, id, envelope, ARGV[5], ARGV[6], now)
  return 'dead'
end

local due = now + tonumber(ARGV[3])
take_away(keys, record, id)
-- Here the envelope outlives the record. The record gets it, too, for workers that do not know this key.
redis.call('HSET', keys.retrying, id, envelope)
local last_error = error_json(ARGV[5], ARGV[6])
redis.call('HSET', keys.job, 'status', 'queued', 'envelope', envelope, 'due', due, 'last_error', last_error)
redis.call('HDEL', keys.job, 'stream_id', 'seq', 'lease_until')
redis.call('ZADD', keys.scheduled, due, id)
local _, kept = counted_of(record)
keep_open(keys, record, id, now, due + patience(record), true, kept + 2 * #envelope + #last_error)
return 'scheduled'
