-- Functions that are VOLATILE and only look, and those that are not and change something all the same: of pg_catalog and
-- of the extensions that come with PostgreSQL. From the versions 15 and 17; a name that a later one adds is refused
-- until it is listed here.
local lookers = {}

local function set(names)
  local map = {}
  for name in names:gmatch "%S+" do map[name] = true end
  return map
end

local listed = { pg_catalog = set [[
  clock_timestamp timeofday random random_normal array_sample array_shuffle
  gen_random_uuid current_query currval lastval pg_sequence_last_value
  bernoulli system
  pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_database_size pg_tablespace_size
  pg_partition_tree pg_partition_ancestors pg_database_collation_actual_version pg_collation_actual_version
  pg_blocking_pids pg_safe_snapshot_blocking_pids pg_lock_status pg_notification_queue_usage pg_prepared_xact
  pg_jit_available pg_get_wait_events
  pg_is_in_recovery pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp
  pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_current_wal_lsn pg_current_wal_insert_lsn
  pg_current_wal_flush_lsn pg_get_wal_resource_managers pg_get_wal_summarizer_state
  pg_available_wal_summaries pg_wal_summary_contents pg_show_replication_origin_status pg_replication_origin_progress
  pg_replication_origin_session_is_setup pg_replication_origin_session_progress
  pg_ls_waldir pg_ls_logdir pg_ls_tmpdir pg_ls_archive_statusdir pg_ls_replslotdir pg_ls_logicalsnapdir
  pg_ls_logicalmapdir pg_current_logfile
  pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system
  pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings
  pg_get_backend_memory_contexts pg_get_shmem_allocations pg_get_multixact_members
  pg_xact_commit_timestamp pg_last_committed_xact pg_xact_status txid_status
  pg_stat_have_stats
]],
  amcheck = set "bt_index_check bt_index_parent_check verify_heapam",
  old_snapshot = set "pg_old_snapshot_time_mapping",
  pageinspect = set [[
    brin_metapage_info brin_page_items brin_page_type brin_revmap_data bt_metap bt_multi_page_stats bt_page_items
    bt_page_stats fsm_page_contents get_raw_page gin_leafpage_items gin_metapage_info gin_page_opaque_info
    gist_page_items gist_page_items_bytea gist_page_opaque_info hash_bitmap_info hash_metapage_info hash_page_items
    hash_page_stats hash_page_type heap_page_item_attrs heap_page_items heap_tuple_infomask_flags page_checksum
    page_header tuple_data_split]],
  pg_buffercache = set "pg_buffercache_pages pg_buffercache_summary pg_buffercache_usage_counts",
  pg_stat_kcache = set "pg_stat_kcache",
  pg_wait_sampling = set "pg_wait_sampling_get_current pg_wait_sampling_get_profile pg_wait_sampling_get_history",
  pg_freespacemap = set "pg_freespace",
  pg_stat_statements = set "pg_stat_statements pg_stat_statements_info",
  pg_visibility = set "pg_check_frozen pg_check_visible pg_visibility pg_visibility_map pg_visibility_map_summary",
  pg_walinspect = set [[
    pg_get_wal_block_info pg_get_wal_record_info pg_get_wal_records_info pg_get_wal_records_info_till_end_of_wal
    pg_get_wal_stats pg_get_wal_stats_till_end_of_wal]],
  pgcrypto = set [[
    gen_random_bytes gen_random_uuid gen_salt pgp_pub_encrypt pgp_pub_encrypt_bytea pgp_sym_encrypt
    pgp_sym_encrypt_bytea]],
  pgrowlocks = set "pgrowlocks",
  pgstattuple = set "pg_relpages pgstatginindex pgstathashindex pgstatindex pgstattuple pgstattuple_approx",
  postgres_fdw = set "postgres_fdw_get_connections",
  sslinfo = set [[
    ssl_cipher ssl_client_cert_present ssl_client_dn ssl_client_dn_field ssl_client_serial ssl_extension_info
    ssl_is_used ssl_issuer_dn ssl_issuer_field ssl_version]],
  tablefunc = set "normal_rand",
  tsm_system_rows = set "system_rows",
  tsm_system_time = set "system_time",
  ["uuid-ossp"] = set "uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4",
}

-- STABLE, but each takes a transaction number, or runs a query of which the statement's tree tells nothing.
local changing = {
  pg_catalog = set [[
    txid_current pg_current_xact_id
    table_to_xml table_to_xml_and_xmlschema schema_to_xml schema_to_xml_and_xmlschema
    database_to_xml database_to_xml_and_xmlschema]],
  tablefunc = set "crosstab crosstab2 crosstab3 crosstab4 connectby",
  xml2 = set "xpath_table",
}

-- `from`: pg_catalog or an extension's name; nil for a function that belongs to neither.
function lookers.changes(from, name) return from and changing[from] and changing[from][name] or false end

function lookers.look(from, name)
  local its = from and listed[from]
  return its and its[name] or from == "pg_catalog" and name:find "^pg_stat_get_" ~= nil
end

-- The names that are asked about whatever they were declared.
function lookers.suspects()
  local names = {}
  for _, its in pairs(changing) do for name in pairs(its) do names[#names + 1] = name end end
  table.sort(names)
  return names
end

return lookers
