:ìé  File "chalk/cli.py", line 54, in get_artifacts_export_safe
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

  File "chalk/parsed/to_proto.py", line 1925, in convert_graph
    converted = ToProtoConverter.convert_resolver(
                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/to_proto.py", line 1786, in convert_resolver
    raise ValueError(f"Error converting resolver '{r.fqn}'") from e


ValueError: Error converting resolver 'main.load'
Jã
à
main.pyÔ

7‹Resolver has DataFrame outputs with different namespaces, 'user' and 'shop'. DataFrames can only have features from the same feature class."1612/

main.py
7different namespaces