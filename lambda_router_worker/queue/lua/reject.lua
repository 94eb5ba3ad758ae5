#!lua flags=allow-oom
-- Gives up on a claimed entry that this worker cannot read, without starting it.
--
-- KEYS  1 job  2 its stream  3 open  4 scheduled  5 flow  6 dead  7 owner  8 retrying  9 bytes  10 events
-- ARGV  1 id  2 entry id  3 code, cut to 64 bytes  4 message, cut to 4 KiB
--       5 lease ms of this worker (or none)
-- Answers 'dead', also if the job was started and its record is gone; 'leased' while a worker that can read it holds
-- it; or 'gone' if the job is not open

local record = read_leased('attempts', 'store', 'lease_until')
local entry = entry_fields(keys.stream, ARGV[2]) or {}
local envelope = entry.job
local now = now_ms()
if is_current(record, ARGV[2]) and record.status == 'in_progress' and now < number(record.lease_until, 0) then
  leave_entry(ARGV[2], number(record.lease_until, 0), tonumber(ARGV[5] or 0), now)
  return 'leased' -- by a worker that can read it
end
if is_current(record, ARGV[2]) and (record.status == 'queued' or record.status == 'in_progress') then
  bury(record, ARGV[1], envelope, ARGV[3], ARGV[4], now)
  return 'dead'
end
local begun = false
if not record.status and envelope then
  begun = was_begun(ARGV[2], entry)
  if begun then
    bury_unrecorded(keys.dead, keys.flow, ARGV[1], envelope, ARGV[3], ARGV[4], now)
  else -- no router put it there, but it is kept anyway
    add_letter(keys.dead, ARGV[1], envelope_to_keep(envelope), ARGV[3], ARGV[4], '0', '0', now)
  end
end
drop_entry(ARGV[2])
return begun and 'dead' or 'gone'
