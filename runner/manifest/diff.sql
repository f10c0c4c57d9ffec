-- Two sides beside each other. Every statement runs on a connection that has two schemas, `a` and `b`, each with
-- the manifest's tables narrowed to one run (without the column `run`). Nothing is asked per job from outside:
-- what differs is kept in temporary tables, the rest is only counted.

-- name: head
-- What is known of side SIDE as a whole.
select r.spec, r.episode, r.realm, r.animerun, r.started, r.total, r.scope, r.replay_of,
       e.ended is not null as ended, e.exit_code, (select count(*) from SIDE.jobs) as recorded
from SIDE.runs r left join (select * from SIDE.run_ends order by ended desc limit 1) e on true limit 1;

-- name: states
-- Each job of side SIDE with its state; one that was reused counts as succeeded, one that is only planned has none.
create temp view states_SIDE as
with last as (                    -- a number of attempts and a state in one figure, for a million of them
  select key, max(number * 4 + case state when 'failed' then 2 when 'cancelled' then 3 else 1 end) % 4 as state
  from SIDE.attempts group by key
), open as (
  select distinct i.key from SIDE.intents i anti join SIDE.attempts x using (prompt_id) where OPEN
)
select j.key, j.seq, j.seed, j.variant, j.digest, j.recipe,
       case when PLANNED then null
            when j.waits <> '' then 'waiting'
            when open.key is not null then 'submitted'
            when last.state is null then 'pending'
            else ['succeeded', 'failed', 'cancelled'][last.state] end as state
from SIDE.jobs j left join last on last.key = j.key left join open on open.key = j.key;

-- name: open
-- How many attempts of side SIDE have no end.
select (select count(*) from SIDE.intents) - (select count(*) from SIDE.attempts where number > 0) as attempts;

-- name: painted
-- Outputs of which the two sides do not hold the same picture; what has no pixels is known by its bytes.
create temp table painted as
select coalesce(x.key, y.key) as key, coalesce(x.node, y.node) as node, coalesce(x."index", y."index") as "index",
       x.path as path_a, y.path as path_b
from a.outputs x full join b.outputs y on x.key = y.key and x.node = y.node and x."index" = y."index"
where (case when x.pixels <> '' then x.pixels else x.sha256 end)
      is distinct from (case when y.pixels <> '' then y.pixels else y.sha256 end);

-- name: odd
-- The jobs in which the two sides are not the same. A workflow that is not known yet is judged by its recipe.
create temp table odd as
with repainted as (select distinct key from painted)
select coalesce(y.key, x.key) as key, coalesce(y.seq, x.seq) as seq, x.key is not null as in_a, y.key is not null as in_b,
       x.variant as variant_a, y.variant as variant_b, x.seed as seed_a, y.seed as seed_b,
       case when x.key is null or y.key is null then false
            when x.digest is null or y.digest is null then x.recipe is distinct from y.recipe
            else x.digest <> y.digest end as rewritten,
       x.state as state_a, y.state as state_b,
       coalesce(x.state = 'succeeded' and y.state = 'succeeded' and p.key is not null, false) as repainted
from states_a x full join states_b y on x.key = y.key left join repainted p on p.key = coalesce(y.key, x.key)
where x.key is null or y.key is null
   or (case when x.digest is null or y.digest is null then x.recipe is distinct from y.recipe else x.digest <> y.digest end)
   or (x.state <> y.state)
   or (x.state = 'succeeded' and y.state = 'succeeded' and p.key is not null);

-- name: alone
-- Keys that only one side has.
select key, in_a from odd where not (in_a and in_b);

-- name: forget
-- Leave out keys that are outside what the narrower side was asked for.
delete from odd where key in (select key from outside);

-- name: classed
-- Jobs whose workflow changed, with what their words say on both sides as one figure: of every column the values
-- where they differ. A prompt follows from other words and counts only where those are equal; files and templates
-- may have changed behind equal names. Where a variant was written does not count.
create temp view classed as
select o.key, o.seq, o.seed_a <> o.seed_b as reseeded, o.variant_a, o.variant_b, o.seed_a, o.seed_b,
       hash(x.template,
            case when x.template <> y.template then y.template end,
            case when x.model <> y.model then [x.model, y.model] end,
            case when x.members::text <> y.members::text then [x.members::text, y.members::text] end,
            case when x.slots::text <> y.slots::text then [x.slots::text, y.slots::text] end,
            case when x.loras::text <> y.loras::text then [x.loras::text, y.loras::text] end,
            case when x.negative <> y.negative then [x.negative, y.negative] end,
            case when x.params::text <> y.params::text or contains(x.params::text, '"$file"')
                 then [x.params::text, y.params::text] end,
            case when x.prompt <> y.prompt and x.model = y.model and x.members::text = y.members::text
                      and x.slots::text = y.slots::text then [x.prompt, y.prompt] end) as said
from odd o join a.variants x on x.variant = o.variant_a join b.variants y on y.variant = o.variant_b
where o.rewritten;

-- name: pairs
-- The classes of changed jobs.
create temp table pairs as
select said, reseeded, count(*) as jobs, min(seq) as seq,
       arg_min(struct_pack(key, variant_a, variant_b, seed_a, seed_b), seq) as first, arg_min(key, seq, 5) as keys
from classed group by said, reseeded;

-- name: pairs_first
-- Those to look into, in listing order.
select said, reseeded, jobs, keys, first.variant_a as variant_a, first.variant_b as variant_b,
       first.seed_a as seed_a, first.seed_b as seed_b
from pairs order by seq limit $limit;

-- name: pairs_rest
-- The rest, by the columns that differ.
select list_filter([case when x.template <> y.template then 'template' end, case when x.model <> y.model then 'model' end,
                    case when x.members::text <> y.members::text then 'cast' end,
                    case when x.slots::text <> y.slots::text then 'words' end,
                    case when x.loras::text <> y.loras::text then 'LoRAs' end,
                    case when x.negative <> y.negative then 'negative' end,
                    case when x.params::text <> y.params::text then 'parameters' end],
                   lambda name: name is not null) as names,
       sum(p.jobs)::bigint as jobs, arg_min(p.first.key, p.seq, 5) as keys
from (select * from pairs order by seq offset $limit) p
join a.variants x on x.variant = p.first.variant_a join b.variants y on y.variant = p.first.variant_b
group by names order by min(p.seq);

-- name: unexplained
-- The first jobs of the classes whose words do not tell why their workflow changed.
with wanted as (select unnest($saids)::ubigint as said, unnest($reseeded)::boolean as reseeded)
select c.key from classed c semi join wanted on wanted.said = c.said and wanted.reseeded = c.reseeded
order by c.seq limit $limit;

-- name: variants
-- What the named variants of side SIDE say.
select variant, template, model, prompt, negative, slots, loras, params, members from SIDE.variants
where variant in (select unnest($names));

-- name: packed
-- The stored workflows of the named jobs of side SIDE.
select key, shape, leaves from SIDE.jobs where key in (select unnest($names)) and shape <> '';

-- name: shapes
-- The shapes of side SIDE among the named ones.
select shape, nodes from SIDE.shapes where shape in (select unnest($names));

-- name: texts
-- The long texts of side SIDE among the named ones.
select text, value from SIDE.texts where text in (select unnest($names));

-- name: moved
-- Jobs whose state is another one, with the fault where there is one.
with m as (select * from odd where state_a <> state_b), faults as (
  select key, arg_max(code, number) as code from (select key, code, number from b.attempts union all select key, code, -1 from a.attempts)
  where key in (select key from m) and code <> '' group by key
)
select state_a, state_b, case when 'failed' in (state_a, state_b) then coalesce(f.code, '') else '' end as code, count(*) as jobs, arg_min(m.key, m.seq, 5) as keys
from m left join faults f on f.key = m.key group by all order by min(m.seq);

-- name: lone
-- Jobs that only one side has, by scene and cut: their keys up to the first axis or take.
select in_a, regexp_replace(key, '/[^/=]+=.*$', '') as cut, count(*) as jobs, arg_min(key, seq, 5) as keys
from odd where in_a <> in_b group by all order by min(seq);

-- name: pictures
-- Outputs that differ, those without a reason first.
select p.key, p.node, p."index", p.path_a, p.path_b, o.rewritten
from painted p join odd o on o.key = p.key and o.repainted
order by o.rewritten, o.seq, p.node, p."index" limit $limit;

-- name: graded
-- What was found out about some of them.
create temp table graded (key text, node text, "index" integer, kind text);

-- name: repaint
-- A job of which every differing output turned out to show the same is not different.
update odd set repainted = false where repainted and key not in (
  select p.key from painted p left join graded g on g.key = p.key and g.node = p.node and g."index" = p."index"
  where g.kind is distinct from 'same'
);

-- name: looks
-- Jobs with other pictures: the worst of a job's outputs counts.
with worst as (
  select p.key, any_value(o.seq) as seq, bool_or(o.rewritten) as rewritten,
         max(case coalesce(g.kind, 'ungraded') when 'changed' then 3 when 'ungraded' then 2 when 'near' then 1 else 0 end) as grade
  from painted p join odd o on o.key = p.key and o.repainted
  left join graded g on g.key = p.key and g.node = p.node and g."index" = p."index"
  group by p.key
)
select rewritten, ['near', 'ungraded', 'changed'][grade] as kind, count(*) as jobs, arg_min(key, seq, 5) as keys
from worst group by all order by rewritten, kind;

-- name: counts
-- How many jobs there are of what.
select (select count(*) from a.jobs) as a, (select count(*) from b.jobs) as b,
       (select count(*) from outside) as outside,
       (select count(*) from b.jobs) - (select count(*) from outside where not in_a)
         - count(*) filter (where in_b and not in_a) as both,
       count(*) filter (where in_a and not in_b) as removed, count(*) filter (where in_b and not in_a) as added,
       count(*) filter (where rewritten) as rewritten,
       count(*) filter (where state_a <> state_b) as moved,
       count(*) filter (where repainted) as repainted,
       count(*) filter (where in_a and in_b and (rewritten or state_a is distinct from state_b or repainted)) as different
from odd;

-- name: undone
-- Jobs that side a has made and side b has, but neither made nor failed.
select count(*) as jobs, arg_min(key, seq, 5) as keys from odd
where state_a = 'succeeded' and in_b and state_b not in ('succeeded', 'failed');

-- name: state_counts
-- The jobs of side SIDE by state, those outside what the other was asked for left out.
select state, count(*) as jobs, arg_min(key, seq, 5) as keys from states_SIDE
where key not in (select key from outside) group by state order by state;

-- name: times
-- Seconds of rendering on both sides, of jobs that both have rendered with as much help of the server's cache.
create temp table took as
select x.key, x.run_s as run_a, y.run_s as run_b
from a.attempts x join b.attempts y on x.key = y.key
where x.state = 'succeeded' and y.state = 'succeeded' and x.cached_nodes = y.cached_nodes
  and x.run_s > 0 and y.run_s > 0;

-- name: time_totals
-- Their sums and the middle of their ratios.
select count(*) as jobs, coalesce(sum(run_a), 0) as run_a, coalesce(sum(run_b), 0) as run_b, median(run_b / run_a) as ratio
from took;

-- name: slowest
-- The jobs that lost most.
select key, run_a, run_b from took where run_b > run_a order by run_b - run_a desc, key limit $limit;

-- name: each
-- Every job that differs, in listing order.
select o.key, o.in_a, o.in_b, o.rewritten, o.state_a, o.state_b, o.repainted from odd o order by o.seq, o.key;

-- name: environment
-- What side SIDE ran on: (what, value), every value once.
select 'ComfyUI' as what, version as value from SIDE.servers
union select 'torch', torch from SIDE.servers
union select 'python', python from SIDE.servers
union select 'device', device from SIDE.servers
union select 'os', os from SIDE.servers
union select 'previz', previz from SIDE.servers
union select 'animerun', animerun from SIDE.runs
union select 'template ' || name, digest from SIDE.templates
union select 'input ' || path, name from SIDE.inputs
union select 'model file ' || folder || '/' || name, size::text from SIDE.model_files where size is not null
union select 'sha256 of model file ' || folder || '/' || name, sha256 from SIDE.model_files where sha256 is not null
order by all;

-- name: inputs
-- The files of side SIDE, by path.
select path, name from SIDE.inputs;

-- name: templates
-- The templates of side SIDE.
select name, digest from SIDE.templates;

-- name: cases
-- Every job of side b in listing order, for a report that names them all.
select s.key, v.scene, v.cut, v.place, s.state, l.code, l.message, l.took, j.waits
from states_b s join b.jobs j on j.key = s.key join b.variants v on v.variant = s.variant
left join (select key, arg_max(struct_pack(c := code, m := message, t := queue_s + run_s + collect_s), number) as l
           from b.attempts group by key) x on x.key = s.key
left join lateral (select x.l.c as code, x.l.m as message, x.l.t as took) l on true
order by s.seq;

-- name: model_files
-- What side SIDE recorded of its model files.
select server, folder, name, size, modified, sha256 from SIDE.model_files;

-- name: cases_gone
-- Jobs that side a has made and side b does not have.
select o.key, v.scene, v.cut, v.place from odd o join a.variants v on v.variant = o.variant_a
where not o.in_b and o.state_a = 'succeeded' order by o.seq;

-- name: places
-- Where the named jobs are written: in the spec of side b, else of side a.
select key, arg_max(place, side) as place from (
  select j.key, v.place, 1 as side from b.jobs j join b.variants v on v.variant = j.variant
  union all select j.key, v.place, 0 from a.jobs j join a.variants v on v.variant = j.variant
) where key in (select unnest($names)) group by key;

-- name: candidates
-- The runs of specs of this file name, newest first, with what speaks for and against them as a baseline.
with ends as (
  select run, arg_max(exit_code, ended) as exit_code from run_ends group by run
), told as (
  select run, max(noted) filter (where kind = 'baseline') as accepted,
         arg_max(kind = 'baseline' or coalesce(facts->>'$.passed', 'true') = 'true', noted) as passed
  from notes where kind in ('baseline', 'gate') group by run
)
select r.run, r.realm, r.scope, e.exit_code, t.accepted, coalesce(t.passed, true) as passed
from runs r left join ends e on e.run = r.run left join told t on t.run = r.run
where list_last(string_split(r.spec, '/')) = $file and r.replay_of = ''
order by r.started desc, r.run desc;
