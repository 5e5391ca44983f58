-- Functions of pg_catalog that are VOLATILE and only look, and those that are not and change something all the same.
-- From PostgreSQL 15's pg_proc.dat; a name that a later version adds is refused until it is listed here.
local lookers = {}

local function set(names)
  local map = {}
  for name in names:gmatch "%S+" do map[name] = true end
  return map
end

local listed = set [[
  clock_timestamp timeofday random gen_random_uuid current_query currval lastval pg_sequence_last_value
  bernoulli system
  pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_database_size pg_tablespace_size
  pg_partition_tree pg_partition_ancestors pg_database_collation_actual_version pg_collation_actual_version
  pg_blocking_pids pg_safe_snapshot_blocking_pids pg_lock_status pg_notification_queue_usage pg_prepared_xact
  pg_jit_available
  pg_is_in_recovery pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp
  pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_current_wal_lsn pg_current_wal_insert_lsn
  pg_current_wal_flush_lsn pg_get_wal_resource_managers pg_show_replication_origin_status pg_replication_origin_progress
  pg_replication_origin_session_is_setup pg_replication_origin_session_progress
  pg_ls_waldir pg_ls_logdir pg_ls_tmpdir pg_ls_archive_statusdir pg_ls_replslotdir pg_ls_logicalsnapdir
  pg_ls_logicalmapdir pg_current_logfile
  pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system
  pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings
  pg_get_backend_memory_contexts pg_get_shmem_allocations pg_get_multixact_members
  pg_xact_commit_timestamp pg_last_committed_xact pg_xact_status txid_status
  pg_stat_have_stats
]]

-- STABLE, but each takes a transaction number.
lookers.changes = set "txid_current pg_current_xact_id"

-- VOLATILE ones of extensions that PostgreSQL's own source tree or widely used ones bring along, and that only look.
lookers.of_extensions = set [[
  pg_stat_statements pg_stat_statements_info pg_buffercache_pages pg_buffercache_summary pg_buffercache_usage_counts
  pgstattuple pgstatindex pgstattuple_approx pg_relpages pgstatginindex pgstathashindex pg_freespace pg_visibility
  pg_visibility_map pg_visibility_map_summary pgrowlocks pg_stat_kcache pg_wait_sampling_get_current
  pg_wait_sampling_get_profile pg_wait_sampling_get_history
]]

function lookers.look(name) return listed[name] or name:find "^pg_stat_get_" ~= nil end

return lookers
