"""The operations that a stored program may have: arithmetic on tensors and on variables.

None of them reads or writes a file, calls Python, uses another device or the network, creates a
resource or opens one by name, or calls another function by name. A program with any other is not
stored but traced in each process, so this list need not be complete.
"""

from __future__ import annotations

_ARITHMETIC = """
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax ArgMin
    Asin Asinh Atan Atan2 Atanh BatchMatMul BatchMatMulV2 BatchMatMulV3 Betainc Bincount
    BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil ClipByValue Complex ComplexAbs Conj Cos
    Cosh Cross Cumprod Cumsum CumulativeLogsumexp DenseBincount Digamma Div DivNoNan Einsum
    Equal Erf Erfc Erfinv EuclideanNorm Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual
    Igamma Igammac Imag Inv InvGrad Invert IsFinite IsInf IsNan L2Loss LeftShift Less LessEqual
    Lgamma LinSpace Log Log1p LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min
    Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual Polygamma Pow Prod Range Real RealDiv
    Reciprocal ReciprocalGrad RightShift Rint Round Rsqrt RsqrtGrad SegmentMaxV2 SegmentMean
    SegmentMinV2 SegmentProdV2 SegmentSum SegmentSumV2 Select SelectV2 Sigmoid SigmoidGrad Sign
    Sin Sinh Sqrt SqrtGrad Square SquaredDifference Sub Sum Tan Tanh TanhGrad TruncateDiv
    TruncateMod UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum
    Xdivy Xlog1py Xlogy Zeta
"""
_LINEAR_ALGEBRA = """
    Cholesky CholeskyGrad LogMatrixDeterminant Lu MatrixDeterminant MatrixInverse MatrixSolve
    MatrixTriangularSolve Qr SelfAdjointEigV2 Svd
"""
_SHAPES = """
    BatchToSpaceND Bitcast BroadcastArgs BroadcastGradientArgs BroadcastTo Concat ConcatOffset
    ConcatV2 ConjugateTranspose Const DepthToSpace Diag DiagPart DynamicPartition DynamicStitch
    Empty EnsureShape ExpandDims Fill Gather GatherNd GatherV2 GuaranteeConst Identity IdentityN
    InvertPermutation ListDiff LowerBound MatrixBandPart MatrixDiag MatrixDiagPart
    MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2
    MatrixSetDiagV3 MirrorPad MirrorPadGrad OneHot OnesLike Pack Pad PadV2 ParallelConcat
    PlaceholderWithDefault PreventGradient Rank Reshape Reverse ReverseSequence ReverseV2
    ScatterNd Shape ShapeN Size Slice Snapshot SpaceToBatchND SpaceToDepth Split SplitV Squeeze
    StopGradient StridedSlice StridedSliceGrad TensorScatterAdd TensorScatterMax
    TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile
    Transpose Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UpperBound
    Where ZerosLike
"""
_NETWORKS = """
    AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BiasAdd BiasAddGrad Conv2D Conv2DBackpropFilter
    Conv2DBackpropInput Conv3D Conv3DBackpropFilterV2 Conv3DBackpropInputV2 CropAndResize
    DataFormatDimMap DataFormatVecPermute DepthwiseConv2dNative
    DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Elu EluGrad
    FusedBatchNormGradV3 FusedBatchNormV3 InTopKV2 LeakyRelu LeakyReluGrad LogSoftmax MaxPool
    MaxPool3D MaxPool3DGrad MaxPoolGrad MaxPoolGradV2 MaxPoolV2 NthElement Relu Relu6 Relu6Grad
    ReluGrad ResizeBicubic ResizeBicubicGrad ResizeBilinear ResizeBilinearGrad
    ResizeNearestNeighbor ResizeNearestNeighborGrad Selu SeluGrad Softmax
    SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad
    SparseSoftmaxCrossEntropyWithLogits TopK TopKV2
"""
# Those that the optimisation of a graph fuses from several.
_REWRITTEN = (
    "_FusedBatchNormEx _FusedConv2D _FusedDepthwiseConv2dNative _FusedMatMul _UnaryOpsComposition"
)
# Functions of a seed.
_RANDOM = """
    StatelessMultinomial StatelessParameterizedTruncatedNormal StatelessRandomBinomial
    StatelessRandomGammaV2 StatelessRandomGammaV3 StatelessRandomGetAlg
    StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomPoisson StatelessRandomUniform
    StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
    StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle
    StatelessTruncatedNormal StatelessTruncatedNormalV2
"""
# On handles that are inputs; none creates one.
_VARIABLES = """
    AssignAddVariableOp AssignSubVariableOp AssignVariableOp ReadVariableOp ResourceGather
    ResourceGatherNd ResourceScatterAdd ResourceScatterDiv ResourceScatterMax ResourceScatterMin
    ResourceScatterMul ResourceScatterNdAdd ResourceScatterNdMax ResourceScatterNdMin
    ResourceScatterNdUpdate ResourceScatterSub ResourceScatterUpdate ResourceStridedSliceAssign
    VariableShape
"""
_LISTS = """
    EmptyTensorList TensorListConcatV2 TensorListElementShape TensorListFromTensor
    TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack
    TensorListReserve TensorListResize TensorListScatterV2 TensorListSetItem TensorListSplit
    TensorListStack
"""
_CONTROL = """
    Assert Enter Exit LoopCond Merge NextIteration NoOp OptionalFromValue OptionalGetValue
    OptionalHasValue OptionalNone Switch
"""

ALLOWED = frozenset(
    " ".join(
        (
            *(_ARITHMETIC, _LINEAR_ALGEBRA, _SHAPES, _NETWORKS, _REWRITTEN, _RANDOM),
            *(_VARIABLES, _LISTS, _CONTROL),
        )
    ).split()
)
