//! Which messages below `chalk.artifacts.v1.Export` hold maps, or lead to one that does.
//!
//! Data, not code: printed by `map_table.py` beside this file from the descriptors of chalkpy 2.166.1.

/// A message: which of its fields are maps, and which lead to another message of the table.
pub(super) type Row = (&'static [u32], &'static [(u32, usize)]);

/// The messages, the export first.
#[rustfmt::skip]
pub(super) const MESSAGES: &[Row] = &[
    // 0: artifacts.v1.Export
    (&[], &[(1, 1), (2, 2), (11, 4), (12, 3)]),
    // 1: graph.v1.Graph
    (&[], &[(1, 5), (2, 6), (3, 7), (4, 8), (5, 9), (7, 10), (8, 11), (9, 13), (10, 12), (13, 14), (14, 15)]),
    // 2: artifacts.v1.CronQuery
    (&[15, 29], &[]),
    // 3: artifacts.v1.CronAggregateBackfill
    (&[14], &[]),
    // 4: python.v1.GlobalVariablesInfo
    (&[2], &[(1, 16)]),
    // 5: graph.v1.FeatureSet
    (&[], &[(2, 17)]),
    // 6: graph.v1.Resolver
    (&[], &[(3, 18), (4, 19), (13, 20), (14, 21), (15, 22), (16, 23), (23, 21), (24, 26), (28, 21), (29, 21),
        (30, 25), (33, 24)]),
    // 7: graph.v1.StreamResolver
    (&[18], &[(2, 27), (3, 19), (4, 28), (5, 29), (7, 30), (15, 23), (18, 31), (19, 32), (27, 33), (30, 13)]),
    // 8: graph.v1.SinkResolver
    (&[], &[(2, 18), (14, 23)]),
    // 9: graph.v1.DatabaseSource
    (&[], &[(1, 34), (2, 35), (3, 36), (4, 37), (5, 38), (6, 39), (7, 40), (8, 41), (9, 42), (10, 43), (11, 44),
        (12, 45), (13, 46), (14, 47)]),
    // 10: graph.v1.NamedQuery
    (&[8, 9, 10, 16], &[(17, 48)]),
    // 11: graph.v2.DatabaseSource
    (&[3], &[(3, 49)]),
    // 12: graph.v2.DatabaseSourceGroup
    (&[3], &[]),
    // 13: graph.v2.StreamSource
    (&[3], &[(3, 50)]),
    // 14: graph.v1.CapturedGlobalValue
    (&[], &[(2, 51)]),
    // 15: symbolic_value.v1.SymbolicValue
    (&[], &[(1, 52), (3, 53), (4, 54), (5, 55), (6, 56), (7, 57), (8, 58), (10, 59), (11, 60), (12, 61), (13, 62),
        (14, 63), (15, 64), (16, 65), (18, 66)]),
    // 16: python.v1.CodeVariableValue
    (&[], &[(2, 53)]),
    // 17: graph.v1.FeatureType
    (&[], &[(1, 67), (2, 68), (3, 69), (6, 70)]),
    // 18: graph.v1.ResolverInput
    (&[], &[(1, 71), (2, 72), (3, 73)]),
    // 19: graph.v1.ResolverOutput
    (&[], &[(1, 74), (2, 72)]),
    // 20: graph.v1.Schedule
    (&[], &[(3, 23), (4, 23)]),
    // 21: expression.v1.LogicalExprNode
    (&[], &[(2, 81), (3, 82), (4, 83), (5, 84), (6, 85), (7, 86), (8, 87), (9, 88), (10, 89), (11, 90), (12, 91),
        (13, 92), (14, 93), (16, 94), (17, 95), (18, 96), (19, 97), (20, 98), (21, 99), (22, 100), (23, 101),
        (24, 102), (25, 103), (26, 104), (27, 105), (28, 106), (29, 107), (30, 108), (31, 109), (32, 110),
        (33, 111), (34, 112), (36, 75), (37, 76), (38, 77), (39, 78), (41, 79), (42, 80)]),
    // 22: graph.v1.CronFilterWithFeatureArgs
    (&[], &[(1, 23), (2, 74)]),
    // 23: graph.v1.FunctionReference
    (&[], &[(6, 51)]),
    // 24: graph.v1.ResolverAsSymbolicValue
    (&[], &[(1, 113)]),
    // 25: dataframe.v1.DataFramePlan
    (&[], &[(1, 114)]),
    // 26: graph.v1.SQLResolverSettings
    (&[3, 4, 5], &[]),
    // 27: graph.v1.StreamResolverParam
    (&[], &[(1, 115), (2, 116), (3, 73)]),
    // 28: arrow.v1.ArrowType
    (&[], &[(8, 117), (9, 118), (29, 118), (30, 119), (36, 120), (37, 121)]),
    // 29: graph.v1.StreamKey
    (&[], &[(2, 74)]),
    // 30: graph.v1.ParseInfo
    (&[], &[(1, 23), (2, 28), (3, 28), (7, 21)]),
    // 31: graph.v1.StreamResolver.FeatureExpressionsEntry
    (&[], &[(2, 122)]),
    // 32: graph.v1.StreamResolverMessageProducerParsed
    (&[3], &[(3, 123), (6, 13)]),
    // 33: graph.v1.DeduplicationStrategy
    (&[], &[(1, 21)]),
    // 34: graph.v1.BigQuerySource
    (&[7, 8], &[(7, 124), (8, 125)]),
    // 35: graph.v1.CloudSQLSource
    (&[6, 7], &[(6, 126), (7, 127)]),
    // 36: graph.v1.DatabricksSource
    (&[7, 8], &[(7, 128), (8, 129)]),
    // 37: graph.v1.MySQLSource
    (&[7, 8], &[(7, 130), (8, 131)]),
    // 38: graph.v1.PostgresSource
    (&[7, 8], &[(7, 132), (8, 133)]),
    // 39: graph.v1.RedshiftSource
    (&[9, 10], &[(9, 134), (10, 135)]),
    // 40: graph.v1.SnowflakeSource
    (&[9, 10], &[(9, 136), (10, 137)]),
    // 41: graph.v1.SQLiteSource
    (&[3, 4], &[(3, 138), (4, 139)]),
    // 42: graph.v1.SpannerSource
    (&[6, 7], &[(6, 140), (7, 141)]),
    // 43: graph.v1.TrinoSource
    (&[8, 9], &[(8, 142), (9, 143)]),
    // 44: graph.v1.DynamoDBSource
    (&[6, 7], &[(6, 144), (7, 145)]),
    // 45: graph.v1.AthenaSource
    (&[9, 10], &[(9, 146), (10, 147)]),
    // 46: graph.v1.ClickhouseSource
    (&[8, 9], &[(8, 148), (9, 149)]),
    // 47: graph.v1.MSSQLSource
    (&[7, 8], &[(7, 150), (8, 151)]),
    // 48: graph.v1.NamedQueryOutputExpression
    (&[], &[(2, 21)]),
    // 49: graph.v2.DatabaseSource.OptionsEntry
    (&[], &[(2, 152)]),
    // 50: graph.v2.StreamSource.OptionsEntry
    (&[], &[(2, 152)]),
    // 51: graph.v1.FunctionReferenceCapturedGlobal
    (&[], &[(4, 153), (6, 154), (8, 155), (11, 156)]),
    // 52: python.v1.Ty
    (&[], &[(6, 157), (7, 158), (10, 159), (14, 160), (15, 161), (17, 162), (18, 163), (19, 164), (21, 165)]),
    // 53: python.v1.SymbolicConst
    (&[], &[(1, 52), (2, 82)]),
    // 54: symbolic_value.v1.SymbolicFuncCall
    (&[], &[(2, 15)]),
    // 55: symbolic_value.v1.SymbolicBranch
    (&[], &[(1, 15), (2, 15), (3, 15)]),
    // 56: symbolic_value.v1.SymbolicStructClassConstructor
    (&[2], &[(2, 166), (3, 167)]),
    // 57: symbolic_value.v1.SymbolicFeatureClassConstructor
    (&[2], &[(2, 168), (3, 167)]),
    // 58: symbolic_value.v1.SymbolicConfluentKafkaSerializationContext
    (&[], &[(1, 15), (2, 15)]),
    // 59: symbolic_value.v1.SymbolicLambdaFunction
    (&[], &[(1, 15), (2, 15)]),
    // 60: symbolic_value.v1.SymbolicStructField
    (&[], &[(1, 15)]),
    // 61: symbolic_value.v1.SymbolicStructPack
    (&[1], &[(1, 169), (2, 167)]),
    // 62: symbolic_value.v1.SymbolicSlice
    (&[], &[(1, 15), (2, 15), (3, 15)]),
    // 63: symbolic_value.v1.SymbolicTuple
    (&[], &[(1, 15)]),
    // 64: symbolic_value.v1.SymbolicDict
    (&[], &[(1, 15), (2, 15)]),
    // 65: symbolic_value.v1.SequenceMatcherSymbolicValue
    (&[], &[(1, 15), (2, 15)]),
    // 66: symbolic_value.v1.SymbolicProtoEnum
    (&[4], &[]),
    // 67: graph.v1.ScalarFeatureType
    (&[], &[(11, 28), (13, 170), (14, 82), (18, 21), (19, 171), (20, 74), (29, 172), (31, 21)]),
    // 68: graph.v1.HasOneFeatureType
    (&[], &[(4, 21)]),
    // 69: graph.v1.HasManyFeatureType
    (&[], &[(4, 21)]),
    // 70: graph.v1.GroupByFeatureType
    (&[], &[(5, 28), (6, 173), (8, 21), (9, 82), (13, 171)]),
    // 71: graph.v1.FeatureInput
    (&[], &[(1, 74), (2, 82)]),
    // 72: graph.v1.DataFrameType
    (&[], &[(2, 74), (3, 74), (4, 21)]),
    // 73: graph.v1.ResolverState
    (&[], &[(1, 82), (2, 28)]),
    // 74: graph.v1.FeatureReference
    (&[], &[(3, 74), (4, 72)]),
    // 75: expression.v1.ExprGetAttribute
    (&[], &[(1, 21)]),
    // 76: expression.v1.ExprGetSubscript
    (&[], &[(1, 21), (2, 21)]),
    // 77: expression.v1.ExprCall
    (&[3], &[(1, 21), (2, 21), (3, 174), (5, 175)]),
    // 78: expression.v1.ExprLiteral
    (&[], &[(1, 82)]),
    // 79: expression.v1.TypedIdentifier
    (&[], &[(2, 28)]),
    // 80: expression.v1.ExprBlockingCall
    (&[], &[(1, 176), (2, 21), (3, 177)]),
    // 81: expression.v1.AliasNode
    (&[], &[(1, 21)]),
    // 82: arrow.v1.ScalarValue
    (&[], &[(1, 28), (8, 178), (9, 179), (32, 179), (33, 179), (34, 179), (40, 180)]),
    // 83: expression.v1.BinaryExprNode
    (&[], &[(1, 21)]),
    // 84: expression.v1.AggregateExprNode
    (&[], &[(2, 21), (4, 21), (5, 21)]),
    // 85: expression.v1.IsNull
    (&[], &[(1, 21)]),
    // 86: expression.v1.IsNotNull
    (&[], &[(1, 21)]),
    // 87: expression.v1.Not
    (&[], &[(1, 21)]),
    // 88: expression.v1.BetweenNode
    (&[], &[(1, 21), (3, 21), (4, 21)]),
    // 89: expression.v1.CaseNode
    (&[], &[(1, 21), (2, 181), (3, 21)]),
    // 90: expression.v1.CastNode
    (&[], &[(1, 21), (2, 28)]),
    // 91: expression.v1.SortExprNode
    (&[], &[(1, 21)]),
    // 92: expression.v1.NegativeNode
    (&[], &[(1, 21)]),
    // 93: expression.v1.InListNode
    (&[], &[(1, 21), (2, 21)]),
    // 94: expression.v1.ScalarFunctionNode
    (&[], &[(2, 21)]),
    // 95: expression.v1.TryCastNode
    (&[], &[(1, 21), (2, 28)]),
    // 96: expression.v1.WindowExprNode
    (&[], &[(4, 21), (5, 21), (6, 21), (8, 182)]),
    // 97: expression.v1.AggregateUDFExprNode
    (&[5], &[(2, 21), (3, 21), (4, 21), (5, 183)]),
    // 98: expression.v1.ScalarUDFExprNode
    (&[], &[(2, 21)]),
    // 99: expression.v1.GetIndexedField
    (&[], &[(1, 21), (2, 184), (3, 185), (4, 186)]),
    // 100: expression.v1.GroupingSetNode
    (&[], &[(1, 187)]),
    // 101: expression.v1.CubeNode
    (&[], &[(1, 21)]),
    // 102: expression.v1.RollupNode
    (&[], &[(1, 21)]),
    // 103: expression.v1.IsTrue
    (&[], &[(1, 21)]),
    // 104: expression.v1.IsFalse
    (&[], &[(1, 21)]),
    // 105: expression.v1.IsUnknown
    (&[], &[(1, 21)]),
    // 106: expression.v1.IsNotTrue
    (&[], &[(1, 21)]),
    // 107: expression.v1.IsNotFalse
    (&[], &[(1, 21)]),
    // 108: expression.v1.IsNotUnknown
    (&[], &[(1, 21)]),
    // 109: expression.v1.LikeNode
    (&[], &[(2, 21), (3, 21)]),
    // 110: expression.v1.ILikeNode
    (&[], &[(2, 21), (3, 21)]),
    // 111: expression.v1.SimilarToNode
    (&[], &[(2, 21), (3, 21)]),
    // 112: expression.v1.PlaceholderNode
    (&[], &[(2, 28)]),
    // 113: graph.v1.ResolverSymbolicValueOutputs
    (&[], &[(1, 188)]),
    // 114: dataframe.v1.DataFrameConstructor
    (&[], &[(3, 189), (4, 190)]),
    // 115: graph.v1.StreamResolverParamMessage
    (&[], &[(2, 28), (4, 155), (5, 156)]),
    // 116: graph.v1.StreamResolverParamMessageWindow
    (&[], &[(2, 28)]),
    // 117: arrow.v1.Struct
    (&[], &[(1, 191)]),
    // 118: arrow.v1.List
    (&[], &[(1, 191)]),
    // 119: arrow.v1.FixedSizeList
    (&[], &[(1, 191)]),
    // 120: arrow.v1.Map
    (&[], &[(1, 191), (2, 191)]),
    // 121: arrow.v1.Extension
    (&[], &[(2, 28)]),
    // 122: graph.v1.FeatureExpression
    (&[], &[(1, 21)]),
    // 123: graph.v1.StreamResolverMessageProducerParsed.TransformationsEntry
    (&[], &[(2, 122)]),
    // 124: graph.v1.BigQuerySource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 125: graph.v1.BigQuerySource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 126: graph.v1.CloudSQLSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 127: graph.v1.CloudSQLSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 128: graph.v1.DatabricksSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 129: graph.v1.DatabricksSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 130: graph.v1.MySQLSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 131: graph.v1.MySQLSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 132: graph.v1.PostgresSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 133: graph.v1.PostgresSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 134: graph.v1.RedshiftSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 135: graph.v1.RedshiftSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 136: graph.v1.SnowflakeSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 137: graph.v1.SnowflakeSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 138: graph.v1.SQLiteSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 139: graph.v1.SQLiteSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 140: graph.v1.SpannerSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 141: graph.v1.SpannerSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 142: graph.v1.TrinoSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 143: graph.v1.TrinoSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 144: graph.v1.DynamoDBSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 145: graph.v1.DynamoDBSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 146: graph.v1.AthenaSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 147: graph.v1.AthenaSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 148: graph.v1.ClickhouseSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 149: graph.v1.ClickhouseSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 150: graph.v1.MSSQLSource.EngineArgsEntry
    (&[], &[(2, 82)]),
    // 151: graph.v1.MSSQLSource.AsyncEngineArgsEntry
    (&[], &[(2, 82)]),
    // 152: google.protobuf.Value
    (&[], &[(5, 192), (6, 193)]),
    // 153: graph.v1.FunctionGlobalCapturedEnum
    (&[3], &[(3, 194), (4, 28)]),
    // 154: graph.v1.FunctionGlobalCapturedFunction
    (&[], &[(2, 51)]),
    // 155: graph.v1.FunctionGlobalCapturedStruct
    (&[], &[(3, 28)]),
    // 156: graph.v1.FunctionGlobalCapturedProto
    (&[], &[(4, 28)]),
    // 157: python.v1.TyList
    (&[], &[(1, 52)]),
    // 158: python.v1.TySet
    (&[], &[(1, 52)]),
    // 159: python.v1.TyIterable
    (&[], &[(1, 52)]),
    // 160: python.v1.TyTuple
    (&[], &[(1, 52)]),
    // 161: python.v1.TyDict
    (&[], &[(1, 52), (2, 52)]),
    // 162: python.v1.TyLogicalStruct
    (&[1], &[(1, 195), (2, 196)]),
    // 163: python.v1.TyFeatureClass
    (&[2], &[(2, 197), (3, 196)]),
    // 164: python.v1.TyEnum
    (&[], &[(3, 52), (4, 52)]),
    // 165: python.v1.TyGenerator
    (&[], &[(1, 52)]),
    // 166: symbolic_value.v1.SymbolicStructClassConstructor.FieldsEntry
    (&[], &[(2, 15)]),
    // 167: symbolic_value.v1.StringSymbolicValuePair
    (&[], &[(2, 15)]),
    // 168: symbolic_value.v1.SymbolicFeatureClassConstructor.FieldsEntry
    (&[], &[(2, 15)]),
    // 169: symbolic_value.v1.SymbolicStructPack.FieldsEntry
    (&[], &[(2, 15)]),
    // 170: graph.v1.WindowInfo
    (&[], &[(2, 173)]),
    // 171: graph.v1.FeatureValidation
    (&[], &[(6, 82), (7, 82), (8, 82), (9, 82), (10, 82)]),
    // 172: graph.v1.FeatureRichTypeInfo
    (&[], &[(2, 198), (3, 199)]),
    // 173: graph.v1.WindowAggregation
    (&[], &[(2, 74), (5, 74), (6, 28), (7, 21), (17, 74), (19, 21), (21, 21), (22, 21)]),
    // 174: expression.v1.ExprCall.KwargsEntry
    (&[], &[(2, 21)]),
    // 175: expression.v1.ExprPolicy
    (&[2], &[]),
    // 176: expression.v1.BlockingFunction
    (&[], &[(1, 200), (2, 201)]),
    // 177: expression.v1.BlockingFunctionV2
    (&[2], &[(2, 202)]),
    // 178: arrow.v1.StructValue
    (&[], &[(2, 82), (3, 191)]),
    // 179: arrow.v1.ScalarListValue
    (&[], &[(2, 203)]),
    // 180: arrow.v1.ExtensionValue
    (&[], &[(1, 121), (2, 82)]),
    // 181: expression.v1.WhenThen
    (&[], &[(1, 21), (2, 21)]),
    // 182: expression.v1.WindowFrame
    (&[], &[(2, 204), (3, 204)]),
    // 183: expression.v1.AggregateUDFExprNode.KwargsEntry
    (&[], &[(2, 21)]),
    // 184: expression.v1.NamedStructField
    (&[], &[(1, 82)]),
    // 185: expression.v1.ListIndex
    (&[], &[(1, 21)]),
    // 186: expression.v1.ListRange
    (&[], &[(1, 21), (2, 21)]),
    // 187: expression.v1.LogicalExprList
    (&[], &[(1, 21)]),
    // 188: graph.v1.ResolverOutputSymbolicValue
    (&[], &[(2, 15)]),
    // 189: dataframe.v1.PyList
    (&[], &[(1, 205)]),
    // 190: dataframe.v1.PyDict
    (&[], &[(1, 206)]),
    // 191: arrow.v1.Field
    (&[5], &[(2, 28), (4, 191)]),
    // 192: google.protobuf.Struct
    (&[1], &[(1, 207)]),
    // 193: google.protobuf.ListValue
    (&[], &[(1, 152)]),
    // 194: graph.v1.FunctionGlobalCapturedEnum.MemberMapEntry
    (&[], &[(2, 82)]),
    // 195: python.v1.TyLogicalStruct.FieldsEntry
    (&[], &[(2, 52)]),
    // 196: python.v1.StringTyPair
    (&[], &[(2, 52)]),
    // 197: python.v1.TyFeatureClass.AssignedFieldsEntry
    (&[], &[(2, 52)]),
    // 198: graph.v1.FeatureEncoder
    (&[], &[(1, 154)]),
    // 199: graph.v1.FeatureDecoder
    (&[], &[(1, 154)]),
    // 200: expression.v1.CatalogCall
    (&[], &[(2, 28), (3, 28)]),
    // 201: expression.v1.CallResolver
    (&[], &[(2, 28)]),
    // 202: expression.v1.BlockingFunctionV2.ArgumentsEntry
    (&[], &[(2, 208)]),
    // 203: arrow.v1.Schema
    (&[2], &[(1, 191)]),
    // 204: expression.v1.WindowFrameBound
    (&[], &[(2, 82)]),
    // 205: dataframe.v1.DataFrameOperand
    (&[], &[(5, 189), (6, 190), (8, 203), (10, 21), (11, 21), (12, 209)]),
    // 206: dataframe.v1.PyDictEntry
    (&[], &[(1, 205), (2, 205)]),
    // 207: google.protobuf.Struct.FieldsEntry
    (&[], &[(2, 152)]),
    // 208: expression.v1.RichArgument
    (&[], &[(1, 210), (2, 21), (3, 211), (4, 215), (5, 216), (6, 213), (7, 212), (8, 214), (11, 177)]),
    // 209: dataframe.v1.DataFrameDataSource
    (&[], &[(1, 11)]),
    // 210: primitive.v1.Primitive
    (&[], &[(10, 203), (11, 191), (12, 217), (13, 218), (14, 28), (15, 82)]),
    // 211: expression.v1.PyObject
    (&[], &[(2, 219), (6, 220)]),
    // 212: expression.v1.PyObjectV2
    (&[2], &[(2, 221)]),
    // 213: expression.v1.BatchUDF
    (&[2, 3], &[(2, 222), (3, 223)]),
    // 214: expression.v1.FlatLogicalExpr
    (&[], &[(1, 21)]),
    // 215: expression.v1.RichArgumentList
    (&[], &[(1, 208)]),
    // 216: expression.v1.RichArgumentUnorderedDict
    (&[1], &[(1, 224)]),
    // 217: primitive.v1.PrimitiveList
    (&[], &[(1, 210)]),
    // 218: primitive.v1.PrimitiveUnorderedDict
    (&[1], &[(1, 225)]),
    // 219: expression.v1.PyCall
    (&[3], &[(1, 211), (2, 211), (3, 226)]),
    // 220: expression.v1.PyArrowSchema
    (&[], &[(1, 203)]),
    // 221: expression.v1.PyObjectV2.ArgumentsEntry
    (&[], &[(2, 208)]),
    // 222: expression.v1.BatchUDF.ArgumentsEntry
    (&[], &[(2, 227)]),
    // 223: expression.v1.BatchUDF.ArgumentsV2Entry
    (&[], &[(2, 208)]),
    // 224: expression.v1.RichArgumentUnorderedDict.ItemsEntry
    (&[], &[(2, 208)]),
    // 225: primitive.v1.PrimitiveUnorderedDict.ItemsEntry
    (&[], &[(2, 210)]),
    // 226: expression.v1.PyCall.KwargsEntry
    (&[], &[(2, 211)]),
    // 227: expression.v1.BatchUDFArgument
    (&[], &[(1, 210), (2, 21), (3, 228), (4, 229), (5, 211)]),
    // 228: expression.v1.BatchUDFArgumentList
    (&[], &[(1, 227)]),
    // 229: expression.v1.BatchUDFUnorderedDict
    (&[1], &[(1, 230)]),
    // 230: expression.v1.BatchUDFUnorderedDict.ItemsEntry
    (&[], &[(2, 227)]),
];
