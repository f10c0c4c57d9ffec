"""Tests that cannot work on Windows, each with its reason; `tests/conftest.py` marks them there.

None of the others has run on one: more will turn out to belong here.
"""

from __future__ import annotations

LINKS = "links need rights on Windows"
SIGNALS = "Windows sends a process no signals: `send_signal` ends it"
POSIX = "it is about what only POSIX has"
RIGHTS = "the rights of a folder there are not those of `chmod`"

MODULES = {
    "comfy/test_bombs.py": "memory is limited by `resource`",
    "render/test_render_sandbox.py": "memory is limited by `resource`",
    "render/test_render_wall.py": "the wall of POSIX; that of Windows: unit/test_system.py",
    "unit/test_beneath.py": "links need rights, and no folder can be opened to look for a name in it",
    "unit/test_ground.py": "open files are limited by `resource`",
    "cli/test_links.py": "links need rights",
    "cli/test_bad_input.py": "it uses what limits memory by `resource`",
}
"""Modules that cannot even be imported."""

TESTS = {
    "cli/test_gate.py::test_the_baseline_is_found_however_the_spec_is_spelled": LINKS,
    "cli/test_index_in_the_way.py::test_a_folder_that_may_not_be_written_is_read": RIGHTS,
    "cli/test_index_in_the_way.py::test_a_runs_folder_that_may_not_be_listed_is_one_sentence": RIGHTS,
    "cli/test_index_in_the_way.py::test_runs_that_are_no_folder_are_one_sentence": LINKS,
    "cli/test_index_in_the_way.py::test_what_may_not_be_read_is_named": RIGHTS,
    "cli/test_paths.py::test_the_operating_system_saw_nothing_either": POSIX,
    "cli/test_secrets.py::test_a_killed_process_leaves_it_nowhere": SIGNALS,
    "cli/test_secrets.py::test_neither_netrc_nor_a_proxy_stands_between_us_and_this_machine": RIGHTS,
    "cli/test_small.py::test_two_servers_at_once_have_an_address_each": SIGNALS,
    "flow/test_main_job.py::test_ctrl_c_leaves_nothing_pending": SIGNALS,
    "flow/test_main_job.py::test_ctrl_c_twice_leaves_within_two_seconds": SIGNALS,
    "flow/test_resume.py::test_ctrl_c_then_resume": SIGNALS,
    "flow/test_resume.py::test_ctrl_c_twice_then_the_same_command": SIGNALS,
    "flow/test_reuse.py::test_a_link_in_place_of_a_file_is_not_followed": LINKS,
    "flow/test_signals.py::test_a_run_needs_no_open_stream": POSIX,
    "flow/test_signals.py::test_nohup_and_a_reader_who_leaves": POSIX,
    "flow/test_signals.py::test_sigterm_ends_a_run_in_good_order": SIGNALS,
    "flow/test_signals.py::test_signals_at_a_few_phases": SIGNALS,
    "manifest/test_journal.py::test_a_lock_names_its_own_holder_among_others": POSIX,
    "manifest/test_journal.py::test_who_only_looks_makes_no_start_fail": POSIX,
    "manifest/test_listing.py::test_who_only_looks_keeps_no_writer_out": POSIX,
    "manifest/test_prune.py::test_nothing_outside_the_run_is_deleted": LINKS,
    "manifest/test_verify.py::test_a_link_is_no_output": LINKS,
    "render/test_render_catalog.py::test_a_link_out_of_the_folder_is_refused": LINKS,
    "render/test_render_catalog.py::test_a_template_folder_may_be_a_link_inside_the_project": LINKS,
    "render/test_render_catalog.py::test_a_template_folder_that_is_a_link_out_is_not_looked_into": LINKS,
    "render/test_render_catalog.py::test_a_template_whose_links_lead_round_in_a_circle_is_refused": LINKS,
    "spec/test_libraries.py::test_a_file_that_is_not_regular_is_refused": POSIX,
    "spec/test_libraries.py::test_includes_stay_inside_the_project": LINKS,
    "spec/test_speech.py::test_a_picture_whose_links_lead_round_in_a_circle_is_refused": LINKS,
    "spec/test_speech.py::test_pictures_stay_inside_the_project": LINKS,
    "unit/test_collect.py::test_a_link_in_the_way_is_not_followed": LINKS,
    "unit/test_collect.py::test_a_link_planted_in_the_output_tree_is_not_followed": LINKS,
    "unit/test_collect.py::test_a_link_under_the_name_of_a_lost_file_is_left_alone": LINKS,
    "unit/test_collect.py::test_a_planted_link_to_another_folder_is_not_followed": LINKS,
    "unit/test_collect.py::test_texts_in_a_picture_that_unfold_without_end_are_refused": POSIX,
    "unit/test_door.py::test_a_doomed_process_dies_before_the_effect_of_that_number": SIGNALS,
    "unit/test_door.py::test_links_are_not_followed": LINKS,
    "unit/test_door.py::test_the_command_line_reads_the_number_from_the_environment": SIGNALS,
    "unit/test_relink.py::test_somebody_elses_file_is_never_replaced": LINKS,
    "unit/test_relink.py::test_what_a_killed_process_took_over_goes": LINKS,
    "unit/test_replay_record.py::test_links_in_a_foreign_plan_are_not_followed": LINKS,
}
"""`module::test` → why not."""


def reason(place: str) -> str:
    """Return why the test with the node id *place*, from `tests/` on, cannot work; empty when it can."""
    return TESTS.get(place.partition("[")[0], "")
