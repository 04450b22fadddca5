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
Jï
ì
main.pyà

W Join function for 'user.card' is incorrectly configured. The feature 'user.card' joins multiple foreign namespaces ('card', 'shop'). A multi-item join can only reference one foreign namespace. Ensure that the join is a lambda function that sets features from two feature classes as equal."432'

main.py
Winvalid join