-- name: runs
-- Every run, newest first.
select * from run_state order by started desc, run desc limit $limit;

-- name: run
-- One run.
select * from run_state where run = $run;

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
