"""Names of SQL functions and pragmas, by what calling them can do (attack cases C.7).

* A function that is in neither list is unknown: what it does stands in the database, not in the text.
* Functions that the parser knows by itself (`count`, `coalesce`, `date_trunc`, …) need not be listed.
"""

from __future__ import annotations

from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(word for line in text.splitlines() if not line.lstrip().startswith("#") for word in line.split())


REACHING: Final = _names("""
    # files and programs of the server
    pg_read_file pg_read_binary_file pg_ls_dir pg_ls_logdir pg_ls_waldir pg_ls_tmpdir pg_ls_archive_statusdir
    pg_stat_file pg_file_write pg_file_rename pg_file_unlink pg_file_sync pg_logdir_ls lo_import lo_export
    lo_create lo_creat lo_open lo_unlink lo_put lo_from_bytea lowrite lo_truncate lo_truncate64 loread lo_get
    load_file readfile writefile edit fsdir load_extension sys_exec sys_eval sys_set xp_cmdshell xp_dirtree
    xp_fileexist xp_regread xp_regwrite sp_oacreate sp_executesql openrowset opendatasource openquery
    utl_http utl_file utl_inaddr readcsv readparquet tofile
    # other databases and hosts
    dblink dblink_exec dblink_connect dblink_connect_u dblink_open dblink_send_query dblink_fetch http
    http_get http_post http_put http_delete http_head pg_logical_emit_message mysql_query postgres_query
    sqlite_query
    # text that is run as SQL
    query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema table_to_xml
    schema_to_xml database_to_xml exec execute_sql ts_stat ts_rewrite eval
    # sequences, settings, locks, messages, other sessions
    nextval setval nextvaluefor set_config pg_notify pg_advisory_lock pg_advisory_xact_lock
    pg_try_advisory_lock pg_advisory_lock_shared pg_try_advisory_xact_lock pg_advisory_unlock
    pg_advisory_unlock_all get_lock release_lock release_all_locks pg_terminate_backend pg_cancel_backend
    pg_reload_conf pg_rotate_logfile pg_switch_wal pg_promote pg_create_restore_point pg_backup_start
    pg_backup_stop pg_start_backup pg_stop_backup pg_stat_reset pg_create_physical_replication_slot
    pg_create_logical_replication_slot pg_drop_replication_slot pg_logical_slot_get_changes
    pg_replication_slot_advance pg_import_system_collations lastval_set pg_sleep pg_sleep_for pg_sleep_until
    sleep benchmark master_pos_wait source_pos_wait
    # models outside
    aiagg aiclassify aiembed aiforecast aigenerate aisimilarity aisummarizeagg generatetext generateembedding
    generatetable generatebool generateint generatedouble mlforecast mltranslate predict
""")
"""They change something, hold something up, or reach what is outside of the database."""

HARMLESS: Final = _names("""
    # sqlite
    abs changes char glob hex ifnull iif instr last_insert_rowid likelihood likely unlikely ltrim max min
    octet_length printf format quote random randomblob replace round rtrim sign soundex sqlite_version
    sqlite_source_id substr substring total total_changes trim typeof unhex unicode unistr upper lower
    zeroblob strftime julianday unixepoch timediff date time datetime group_concat string_agg json json_array
    json_array_length json_error_position json_extract json_insert json_object json_patch json_pretty
    json_remove json_replace json_set json_type json_valid json_quote json_each json_tree json_group_array
    json_group_object jsonb jsonb_array jsonb_extract jsonb_object bm25 highlight snippet concat concat_ws
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi
    pow power radians sin sinh sqrt tan tanh trunc
    # postgres
    age array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper ascii
    bit_and bit_length bit_or bool_and bool_or btrim cardinality cbrt char_length character_length chr
    clock_timestamp col_description convert convert_from convert_to corr count covar_pop covar_samp cume_dist
    current_database current_role current_schema current_schemas current_setting date_part date_bin
    date_trunc decode dense_rank div encode erf every factorial first_value format_type gcd gen_random_uuid
    generate_series generate_subscripts get_bit get_byte greatest has_database_privilege has_schema_privilege
    has_table_privilege host inet_client_addr initcap isfinite isempty json_agg json_array_elements
    json_array_elements_text json_build_array json_build_object json_each_text json_extract_path
    json_extract_path_text json_object_agg json_object_keys json_populate_record json_strip_nulls
    json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path
    jsonb_extract_path_text jsonb_insert jsonb_object_agg jsonb_object_keys jsonb_path_exists
    jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set
    jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours
    justify_interval lag last_value lcm lead least left length localtimestamp lower_inc lpad make_date
    make_interval make_time make_timestamp make_timestamptz masklen md5 mode netmask network now nth_value
    ntile num_nonnulls num_nulls numnode obj_description overlay parse_ident percent_rank percentile_cont
    percentile_disc pg_backend_pid pg_column_size pg_database_size pg_get_constraintdef pg_get_expr
    pg_get_functiondef pg_get_indexdef pg_get_serial_sequence pg_get_userbyid pg_get_viewdef pg_indexes_size
    pg_is_in_recovery pg_postmaster_start_time pg_relation_size pg_size_pretty pg_table_is_visible
    pg_table_size pg_total_relation_size pg_typeof plainto_tsquery phraseto_tsquery position quote_ident
    quote_literal quote_nullable range_agg range_merge rank regexp_count regexp_instr regexp_like
    regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr
    repeat reverse right row row_number row_to_json rpad scale set_bit setseed sha224 sha256 sha384 sha512
    shobj_description similarity split_part starts_with statement_timestamp stddev stddev_pop stddev_samp
    string_to_array string_to_table strip strpos text timeofday timezone to_ascii to_char to_date to_hex
    to_json to_jsonb to_number to_regclass to_timestamp to_tsquery to_tsvector transaction_timestamp
    translate trim_scale ts_headline ts_rank ts_rank_cd tsvector_to_array unaccent unnest upper_inc
    uuid_generate_v4 uuidv7 var_pop var_samp variance version websearch_to_tsquery width_bucket
    word_similarity xmlagg st_area st_asgeojson st_astext st_buffer st_centroid st_contains st_distance
    st_dwithin st_geomfromtext st_intersects st_length st_makepoint st_point st_setsrid st_transform
    st_within st_x st_y
    # mysql
    addtime any_value avg bin bin_to_uuid bit_count bit_xor cast coalesce collation connection_id conv
    convert_tz crc32 curdate current_date current_time current_timestamp current_user curtime database
    date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear elt export_set extract
    field find_in_set found_rows from_base64 from_days from_unixtime get_format grouping hour if inet_aton
    inet_ntoa insert isnull json_arrayagg json_contains json_contains_path json_depth json_keys json_length
    json_merge_patch json_merge_preserve json_objectagg json_overlaps json_search json_storage_size
    json_table json_unquote json_value last_day last_insert_id lcase local localtime locate make_set makedate
    maketime microsecond mid minute month monthname nullif oct ord period_add period_diff quarter rand
    row_count schema sec_to_time second session_user sha sha1 sha2 space std str_to_date strcmp subdate
    substring_index subtime sum system_user sysdate time_format time_to_sec timestamp timestampadd
    timestampdiff to_base64 to_days to_seconds truncate ucase uncompressed_length unix_timestamp user
    utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin values week weekday weekofyear year yearweek
""")
"""They compute from what they are given, and say something of the session or the catalogue at most."""

READING_PRAGMAS: Final = _names("""
    collation_list compile_options database_list foreign_key_check foreign_key_list function_list index_info
    index_list index_xinfo integrity_check module_list pragma_list quick_check table_info table_list
    table_xinfo
""")
"""Pragmas that only tell, whatever their argument."""

ACTING_PRAGMAS: Final = _names("""
    incremental_vacuum optimize shrink_memory wal_checkpoint
""")
"""Pragmas that act without an argument. Others tell without one, and set with one."""

ONE_WORD: Final = _names("""
    abort analyze begin checkpoint commit deallocate discard end go listen load lock optimize reindex repair
    reset rollback show shutdown start truncate unlisten vacuum
""")
"""Words that are, or begin, a statement without naming anything."""
