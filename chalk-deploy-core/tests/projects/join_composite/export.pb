:‡„  File "chalk/cli.py", line 54, in get_artifacts_export_safe
    export = import_files_then_export_from_registry(
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/_proto/export.py", line 142, in import_files_then_export_from_registry
    export = export_from_registry(
             ^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/_proto/export.py", line 192, in export_from_registry
    return export_from_registries(
           ^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/_proto/export.py", line 285, in export_from_registries
    graph_res = ToProtoConverter.convert_graph(
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/to_proto.py", line 1901, in convert_graph
    features.append(ToProtoConverter.convert_feature(f))
                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/to_proto.py", line 1282, in convert_feature
    raise RuntimeError(f"Error converting feature '{o.namespace}.{o.name}'") from e


RuntimeError: Error converting feature 'user.card'
J¦
£
main.py—

T×The attribute 'User.card' has a join function that is incorrectly configured. Joins with multiple clauses must use '&' instead of 'and', e.g. `(a.id1 == b.id1) & (a.id2 == b.id2)`.  (Note that you must surround your clauses with parenthesis due to operator precedence rules.) Joins with multiple clauses are only supported on has-one features."322'

main.py
Tinvalid join