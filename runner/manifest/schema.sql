-- The manifest, schema 3: an index over the journals of all runs. Append-only tables, no secondary index;
-- what is true now is told by the views at the end. Times are UTC, durations seconds, sizes bytes.

create table meta (schema integer);

create table applied (            -- how far each file of each run has been read
  run text, file text, "offset" bigint, line bigint, "check" bigint
);

create table model_files (        -- size and time of change (Unix seconds) from the server, sha256 from the user
  run text, server text, folder text, name text, size bigint, sha256 text, modified bigint
);

create table runs (
  run text, uuid text, spec text, episode text, title text, realm text, animerun text,
  started timestamp, total bigint, waiting bigint, scope json,
  replay_of text                  -- empty for a run of a spec
);

create table run_ends (run text, ended timestamp, exit_code integer, reason text);

create table servers (
  run text, url text, realm text, version text, torch text, python text, device text, os text, previz text
);

create table inputs (run text, name text, path text, size bigint);

create table shapes (run text, shape text, nodes json);

create table texts (run text, text text, value text);

create table templates (run text, name text, digest text);

create table variants (           -- what all takes of one point share
  run text, variant text, episode text, scene text, cut text, title text, template text, model text,
  prompt text, negative text, slots json, loras json, params json, members json, place text
);

create table jobs (
  run text, key text, seq bigint, variant text, take text, seed ubigint, name text, recipe text, digest text,
  shape text, leaves json, waits text, reason text
);

create table notes (              -- facts that came after the run: baseline, verified, pruned
  run text, noted timestamp, kind text, facts json
);

create table intents (
  run text, key text, number integer, prompt_id text, server text, prefix text, intended timestamp
);

create table attempts (           -- one row when an attempt has ended
  run text, key text, number integer, prompt_id text, server text, state text, ended timestamp,
  queue_s double, run_s double, collect_s double, cached_nodes integer,
  code text, message text, node text, node_class text, final boolean,
  from_run text                   -- state `reused`: the run that made the files; number 0, no server
);

create table outputs (
  run text, key text, prompt_id text, node text, "index" integer, path text, sha256 text, size bigint,
  kind text, pixels text, width integer, height integer, frames integer, media text, server_name text,
  mtime_ns bigint
);

create view job_state as
with last as (
  select run, key, arg_max(struct_pack(number, state, server, ended, run_s, queue_s, collect_s,
                                       code, message, node, node_class, from_run),
                           struct_pack(ended, number)) as a
  from attempts group by all
), asked as (select run, key, max(number) as number, arg_max(server, number) as server from intents group by all)
select j.run, j.key, j.seq, v.scene, v.cut, j.take, j.seed, v.template, v.model, j.name, j.digest, j.recipe,
       case when j.waits <> '' then 'waiting'
            when last.a.state = 'reused' then 'reused'
            when asked.number is null then 'pending'
            when last.a is null or last.a.number < asked.number then 'submitted'
            else last.a.state end as state,
       coalesce(asked.number, 0) as attempts, asked.server as server, last.a.from_run as from_run,
       j.reason, j.variant,
       last.a.ended as ended, last.a.run_s as run_s, last.a.queue_s as queue_s, last.a.collect_s as collect_s,
       last.a.code as code, last.a.message as message, last.a.node as node, last.a.node_class as node_class
from jobs j
join variants v on v.run = j.run and v.variant = j.variant
left join last on last.run = j.run and last.key = j.key
left join asked on asked.run = j.run and asked.key = j.key;

create view current_outputs as
select o.run, o.key, o.node, o."index", o.path, o.sha256, o.pixels, o.width, o.height, o.frames, o.size,
       o.kind, o.media
from outputs o;

create view run_head as
select r.run, r.spec, r.episode, r.title, r.realm, r.animerun, r.started, e.ended, e.exit_code, e.reason,
       r.scope, r.replay_of, r.total as jobs,
       case when e.run is null and r.replay_of = '' and exists (
              -- A newer run of the whole spec, or of the same part of it, makes what this one did not.
              from runs n
              where n.spec = r.spec and n.realm = r.realm and n.replay_of = '' and n.started > r.started
                and (n.scope::text = r.scope::text
                     or (n.scope->>'$.only' = '[]' and n.scope->>'$.without' = '[]'
                         and n.scope->>'$.sets' = r.scope->>'$.sets'))
            ) then 'superseded'
            when e.run is null then 'open'
            when e.exit_code = 0 then 'succeeded'
            when e.exit_code in (1, 9) then 'failed'
            else 'stopped' end as state
from runs r
left join (select run, arg_max(struct_pack(run, ended, exit_code, reason), ended) as e from run_ends group by run) x
       on x.run = r.run
left join lateral (select x.e.run, x.e.ended, x.e.exit_code, x.e.reason) e on true;

create view run_state as
with counts as (
  select run,
         count(*) filter (where state = 'succeeded') as succeeded,
         count(*) filter (where state = 'reused') as reused,
         count(*) filter (where state = 'failed') as failed,
         count(*) filter (where state = 'waiting') as waiting
  from job_state group by run
)
select h.* exclude (state), coalesce(c.succeeded, 0) as succeeded, coalesce(c.reused, 0) as reused,
       coalesce(c.failed, 0) as failed, coalesce(c.waiting, 0) as waiting, h.state
from run_head h
left join counts c on c.run = h.run;
