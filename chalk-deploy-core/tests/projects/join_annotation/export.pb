:Å
Â
  File "chalk/cli.py", line 54, in get_artifacts_export_safe
    export = import_files_then_export_from_registry(
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/_proto/export.py", line 142, in import_files_then_export_from_registry
    export = export_from_registry(
             ^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/_proto/export.py", line 192, in export_from_registry
    return export_from_registries(
           ^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/_proto/export.py", line 499, in export_from_registries
    logs = validate_artifacts(graph_res, config)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

  File "chalk/parsed/_proto/validation.py", line 811, in validate_artifacts
    f_field.join  # (this has the side effect of validating the join)
    ^^^^^^^^^^^^

  File "chalk/features/feature_field.py", line 1171, in join
    self._join = self._validate_join()
                 ^^^^^^^^^^^^^^^^^^^^^

  File "chalk/features/feature_field.py", line 1528, in _validate_join
    self.lsp_error_builder.add_diagnostic(

  File "chalk/_lsp/error_builder.py", line 485, in add_diagnostic
    raise error


TypeError: The attribute 'User.card' has a join filter (Filter(card.user_id == user.id)) but its type annotation 'int' is not a feature class or DataFrame that links to another feature class.
Jƒ
€
main.pyô

8´The attribute 'User.card' has a join filter (Filter(card.user_id == user.id)) but its type annotation 'int' is not a feature class or DataFrame that links to another feature class."372'

main.py
8invalid join