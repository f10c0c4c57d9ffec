-- name: runs
-- Every run, newest first.
select * from run_state order by started desc, run desc limit $limit;

-- name: heads
-- Every run without the counts of its jobs, newest first.
select * from run_head order by started desc, run desc;

-- name: runs_between
-- The runs from one name to another: bounds reach every table, a list of names would not.
select * from run_state where run >= $first and run <= $last;

-- name: told_between
-- What was noted of runs after their end: the gate's last verdict, and how many files were pruned.
select run,
       arg_max(facts->>'$.passed', noted) filter (where kind = 'gate') as passed,
       coalesce(sum(json_array_length(facts->'$.paths')) filter (where kind = 'pruned'), 0)::bigint as pruned
from notes where run >= $first and run <= $last and kind in ('gate', 'pruned') group by run;

-- name: baselines_now
-- The run of each spec and realm that was accepted last.
select arg_max(n.run, n.noted) as run from notes n join runs r on r.run = n.run
where n.kind = 'baseline' group by r.spec, r.realm;

-- name: run
-- One run.
select * from run_state where run = $run;

-- name: run_total
-- How many jobs a run is about.
select total from runs where run = $run;

-- name: run_names
-- The ids of all runs, newest first.
select run from runs order by started desc, run desc;

-- name: jobs
-- The jobs of a run in listing order.
select * from job_state where run = $run order by seq;

-- name: job
-- Everything told once about one job.
select j.*, v.* exclude (run, variant) from jobs j join variants v on v.run = j.run and v.variant = j.variant
where j.run = $run and j.key = $key;

-- name: outputs
-- The files of a run, by job and node.
select * from current_outputs where run = $run order by key, node, "index";

-- name: recorded_outputs
-- What was recorded of the files of a run, by job and node.
select node, "index", path, sha256, size, kind, pixels, width, height, frames, media, server_name,
       coalesce(mtime_ns, 0) as mtime_ns
from outputs where run = $run order by key, node, "index";

-- name: attempts
-- The attempts of one job, first to last.
select i.number, i.prompt_id, i.server, i.prefix, i.intended, a.state, a.ended, a.queue_s, a.run_s,
       a.collect_s, a.cached_nodes, a.code, a.message, a.node, a.node_class
from intents i left join attempts a on a.run = i.run and a.prompt_id = i.prompt_id
where i.run = $run and i.key = $key order by i.number;

-- name: servers
-- The servers of a run.
select * from servers where run = $run;

-- name: shape
-- A stored workflow shape.
select nodes from shapes where run = $run and shape = $shape;

-- name: texts
-- Long texts of a run by name.
select text, value from texts where run = $run;

-- name: applied
-- How far each file of each run has been read.
select run, file, "offset", line, "check" from applied;

-- name: notes
-- What was noted about a run later, in order.
select kind, noted, facts from notes where run = $run order by noted;

-- name: made_by_recipe
-- The newest files made by any of the recipes in a realm, one row per output.
with wanted as (select unnest($names) as recipe), found as (
  select j.recipe, arg_max(struct_pack(run := j.run, key := j.key, name := j.name, digest := j.digest), r.started) as m
  from jobs j
  join wanted on wanted.recipe = j.recipe
  join runs r on r.run = j.run and r.realm = $realm
  join attempts a on a.run = j.run and a.key = j.key and a.state in ('succeeded', 'reused')
  group by j.recipe
)
select f.recipe, f.m.run, f.m.key, f.m.name, f.m.digest, o.prompt_id, o.node, o."index", o.path, o.sha256, o.size, o.kind,
       o.pixels, o.width, o.height, o.frames, o.media, o.server_name, o.mtime_ns
from found f join outputs o on o.run = f.m.run and o.key = f.m.key
order by f.recipe, o.node, o."index";

-- name: made_as
-- The files that a run has under some keys, one row per output.
select j.key, j.run, j.key, j.name, j.digest, o.prompt_id, o.node, o."index", o.path, o.sha256, o.size, o.kind,
       o.pixels, o.width, o.height, o.frames, o.media, o.server_name, o.mtime_ns
from jobs j join outputs o on o.run = j.run and o.key = j.key
where j.run = $run and j.key in (select unnest($names))
order by j.key, o.node, o."index";

-- name: made_by_digest
-- The same, by digest.
with wanted as (select unnest($names) as digest), found as (
  select j.digest, arg_max(struct_pack(run := j.run, key := j.key, name := j.name, digest := j.digest), r.started) as m
  from jobs j
  join wanted on wanted.digest = j.digest
  join runs r on r.run = j.run and r.realm = $realm
  join attempts a on a.run = j.run and a.key = j.key and a.state in ('succeeded', 'reused')
  group by j.digest
)
select f.digest, f.m.run, f.m.key, f.m.name, f.m.digest, o.prompt_id, o.node, o."index", o.path, o.sha256, o.size, o.kind,
       o.pixels, o.width, o.height, o.frames, o.media, o.server_name, o.mtime_ns
from found f join outputs o on o.run = f.m.run and o.key = f.m.key
order by f.digest, o.node, o."index";

-- name: last_told
-- What the newest run of a realm that had each key was made from.
with wanted as (select unnest($names) as key), found as (
  select j.key, arg_max(struct_pack(run := j.run, variant := j.variant, recipe := j.recipe, digest := j.digest,
                                    seed := j.seed), r.started) as m
  from jobs j
  join wanted on wanted.key = j.key
  join runs r on r.run = j.run and r.realm = $realm
  group by j.key
)
select f.key, f.m.run, f.m.recipe, f.m.digest, f.m.seed, s.state, s.code, v.template, v.model, v.prompt, v.negative, v.slots,
       v.loras, v.params, v.members, t.digest as template_digest
from found f
join variants v on v.run = f.m.run and v.variant = f.m.variant
join job_state s on s.run = f.m.run and s.key = f.key
left join templates t on t.run = f.m.run and t.name = v.template;

-- name: run_inputs
-- The files a run used, by project path.
select path, name from inputs where run = $run;

-- name: model_files
-- What a run recorded of its model files.
select server, folder, name, size, modified, sha256 from model_files where run = $run;

-- name: realm_of
-- What servers of these addresses were when last used.
select s.realm from servers s join runs r on r.run = s.run
where s.url in (select unnest($urls)) order by r.started desc limit 1;

-- name: unfinished
-- Runs of specs of this file name (no replays) with the servers on which they have open attempts, newest first.
select distinct i.run, i.server, r.started from runs r join intents i on i.run = r.run
where list_last(string_split(r.spec, '/')) = $file and r.replay_of = ''
  and not exists (from attempts a where a.run = i.run and a.prompt_id = i.prompt_id)
order by r.started desc, i.run, i.server;

-- name: newest
-- The runs of specs of this file name, newest first, replays left out.
select run from runs where list_last(string_split(spec, '/')) = $file and replay_of = '' order by started desc, run desc;

-- name: others_hold
-- Files of these contents that other runs recorded.
select o.run, o.path, j.name, o.sha256, o.mtime_ns from outputs o join jobs j on j.run = o.run and j.key = o.key
where o.run <> $run and o.sha256 in (select unnest($sha256s));

-- name: baselines
-- The runs that were accepted as a baseline.
select distinct run from notes where kind = 'baseline';
