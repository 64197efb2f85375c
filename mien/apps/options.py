"""What the commands take: every argument and option with its name, its bounds and its help, as types for signatures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# --- photos ------------------------------------------------------------------------------------------------------

Photos = Annotated[
    list[str], typer.Argument(metavar="PHOTO...", help="Photos, folders of photos, or patterns such as `'*.jpg'`.")
]
Photo = Annotated[Path, typer.Argument(metavar="PHOTO", help="JPEG, PNG, WebP, AVIF, HEIC, TIFF, GIF, BMP or PPM.")]
StudioFiles = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE...", help="Photos and films to open at once; the page opens others.", show_default=False
    ),
]
PhotosOrFilm = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...", help="Photos, folders of photos, patterns such as `'*.jpg'`; or one film (.mp4, ...)."
    ),
]
PictureOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the picture: .png, .jpg or .webp.")
]
EditOut = Annotated[
    str,
    typer.Option(
        "--out", "-o", metavar="OUT", help="A picture (.png, .jpg or .webp); for several photos, a folder (`edited/`)."
    ),
]
ReadingOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        show_default=False,
        help="A table, with a line for each face of a photo or of a film's frame (.csv); or a picture of what was read: "
        "from one photo (.png, .jpg, .webp), or from a film over time (.png, .svg, .pdf).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON, for programs.")]
Origin = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="START",
        help="`auto` first takes away half of what the model sees in the face and is not asked for; `direct` edits it as "
        "it is; `keep` moves from where the face stands on the disc, by --intensity as a step.",
    ),
]
Profiles = Annotated[
    str,
    typer.Option(
        metavar="WHICH", help="`skip` leaves faces in profile as they are, since edits smear there; or `edit`."
    ),
]
FaceDetector = Annotated[str, typer.Option("--detector", metavar="NAME", help="`mtcnn` or `retinaface`.")]
Expression = Annotated[
    str | None,
    typer.Option(
        "--expression",
        "-e",
        metavar="NAMES",
        help="neutral, happy, sad, surprise, fear, disgust, anger, or a blend: `happy:0.6,surprise:0.4`.",
    ),
]
Intensity = Annotated[float, typer.Option("--intensity", "-i", metavar="NUMBER", help="0 (neutral) to 1 (strongest).")]
Angle = Annotated[
    float | None,
    typer.Option(metavar="DEGREES", help="Instead of names: a direction of the disc, as `mien gamut` shows it."),
]
Faces = Annotated[
    str,
    typer.Option(
        "--face", "-f", metavar="WHICH", help="`all`, `largest`, or a number from 1, counted from the largest."
    ),
]
ByFace = Annotated[
    list[str] | None,
    typer.Option(
        "--for",
        metavar="FACE:WISH",
        help="What one face shall express, `NUMBER:NAMES@INTENSITY`; repeatable. The other faces stay as they are.",
    ),
]
OneFace = Annotated[
    str, typer.Option("--face", "-f", metavar="WHICH", help="`largest`, or a number from 1, counted from the largest.")
]
Tile = Annotated[int, typer.Option(metavar="PIXELS", min=32, max=512, help="Side of one face in the picture.")]
Rings = Annotated[int, typer.Option(metavar="COUNT", min=1, max=6, help="Rings of faces round the centre.")]
Rows = Annotated[
    str | None,
    typer.Option(metavar="NAMES", show_default="all that the model knows", help="Comma-separated names: the rows."),
]
Columns = Annotated[str, typer.Option(metavar="NUMBERS", help="Comma-separated, each from 0 to 1: the columns.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        show_default="the one that ships",
        help="A shipped model's name, a run folder of `mien train`, a .safetensors or .onnx file, a folder of `mien pull`, "
        "`hf://user/name`, or a checkpoint of the official code: `official-ganmut:G.ckpt`, `official-stargan:G.ckpt`.",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        metavar="NUMBER",
        min=0.05,
        max=0.99,
        help="Confidence from which the detector calls something a face; lower finds more.",
    ),
]
Marked = Annotated[
    bool, typer.Option("--mark/--no-mark", help="Say in the picture's metadata that AI edited it (XMP, IPTC).")
]

PictureQuality = Annotated[
    int, typer.Option(metavar="NUMBER", min=1, max=100, help="How closely a JPEG or WebP keeps the pixels, 1 to 100.")
]

# --- data and training -------------------------------------------------------------------------------------------

Dataset = Annotated[
    str, typer.Argument(metavar="DATASET", help="affectnet, affwild2, fer2013, rafdb, folder or drawn.")
]
Source = Annotated[
    Path | None,
    typer.Argument(
        metavar="SOURCE", show_default=False, help="Where the dataset lies; `drawn` has none: the program draws it."
    ),
]
PreparedOut = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the prepared set.")]
Size = Annotated[int, typer.Option(metavar="PIXELS", min=16, max=1024, help="Side of the prepared images.")]
Detector = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="`mtcnn` or `retinaface` finds and aligns each face; `none` takes images as they are cut already.",
    ),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Option of the dataset's reader, e.g. `labels=ferplus` or `count=5000`; repeatable.",
    ),
]
Share = Annotated[
    float,
    typer.Option(
        metavar="NUMBER",
        min=0.0001,
        max=1.0,
        help="Take this share of the rows, chosen by their keys: the same rows in every run. For trials.",
    ),
]
Preset = Annotated[str, typer.Argument(metavar="PRESET", help="`mien presets` lists them.")]
Data = Annotated[Path, typer.Option("--data", "-d", metavar="DIR", help="A prepared set of `mien prepare`.")]
RunOut = Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="The run folder.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of the preset; repeatable."),
]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        metavar="MODEL",
        help="Fine-tune: start from the networks of a run folder, a shipped model or a .safetensors file.",
        show_default=False,
    ),
]
Devices = Annotated[
    int,
    typer.Option(
        metavar="COUNT",
        min=1,
        max=1024,
        help="GPUs of this machine that share each batch; without a GPU: processes. The result does not depend on it.",
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        min=0.0,
        show_default="no limit",
        help="Stop after this time with a checkpoint and exit code 75; the same command goes on.",
    ),
]
LoadingWorkers = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="COUNT",
        min=0,
        max=256,
        help="Processes per device that read ahead, where the set is too large to be kept in memory.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the whole configuration and stop.")]

# --- judges ------------------------------------------------------------------------------------------------------

Judge = Annotated[
    str,
    typer.Argument(
        metavar="PRESET", help="resnet18, resnet50, vgg16_bn, resnet18-small, vgg16_bn-small or resnet18-guide."
    ),
]
JudgeInit = Annotated[
    Path | None,
    typer.Option(
        "--init",
        metavar="FILE",
        help="Start from weights of the same architecture: torchvision's (.pth, .safetensors), or an exported judge.",
        show_default=False,
    ),
]

# --- models that travel ------------------------------------------------------------------------------------------

Exported = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A run folder of `mien train`, a shipped model's name, or a .safetensors file."
    ),
]
InfoModel = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        show_default=False,
        help="What --model of the other commands takes; the one that ships where none is given.",
    ),
]
WeightsOut = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FILE", help="NAME.safetensors, beside which a JSON goes, or NAME.onnx, which is whole."
    ),
]
ExportTo = Annotated[
    str | None,
    typer.Option("--to", metavar="KIND", show_default="as --out ends", help="`safetensors` or `onnx`."),
]
Opset = Annotated[
    int | None, typer.Option(metavar="NUMBER", show_default="20", help="ONNX: the version of the operators, 18 to 23.")
]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="A new folder, or `hf://user/name` for a repository on the hub.")
]
ModelPlace = Annotated[
    str, typer.Argument(metavar="SOURCE", help="`hf://user/name`, `@revision` may follow; or a folder of `mien push`.")
]
ModelFolderOut = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The new folder.")]
WithOnnx = Annotated[bool, typer.Option("--onnx", help="Add model.onnx, for those who have no torch.")]
Public = Annotated[bool, typer.Option("--public", help="Let everybody see a repository that is made now.")]

# --- preparing ---------------------------------------------------------------------------------------------------

FaceThreshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="NUMBER",
        min=0.05,
        max=0.99,
        show_default="the detector's own",
        help="Confidence from which the detector calls something a face; lower finds more.",
    ),
]
DetectorDevice = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where the detector runs: `cpu`, `cuda`, `cuda:1`, `mps`.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="COUNT",
        min=0,
        max=1024,
        show_default="one for each core",
        help="Processes that share the work; 1 or 0: none but this. The result is the same to the byte.",
    ),
]
Engine = Annotated[
    str, typer.Option(metavar="NAME", help="`local`: processes of this machine; `ray`: tasks on a Ray cluster.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        show_default="a Ray of this machine's own",
        help="With --engine ray: the cluster, for example `auto` on one of its machines. All must see DIR and SOURCE.",
    ),
]

# --- prepared sets -----------------------------------------------------------------------------------------------

PreparedSets = Annotated[list[Path], typer.Argument(metavar="DIR", help="Prepared sets of `mien prepare`.")]
PreparedFolder = Annotated[Path, typer.Argument(metavar="DIR", help="A prepared set of `mien prepare`.")]
Balance = Annotated[
    str,
    typer.Option(
        metavar="BY",
        help="Leave out training images until groups are equal: by `sources` (the sets given), `expressions`, or `none`.",
    ),
]
Ratio = Annotated[
    float,
    typer.Option(metavar="NUMBER", min=1.0, help="With --balance: how many times the smallest group one may be."),
]
NewSize = Annotated[
    int | None,
    typer.Option(
        "--size", metavar="PIXELS", min=16, max=1024, show_default="as they are", help="Resize all images to this side."
    ),
]
ChoiceSeed = Annotated[int, typer.Option("--seed", metavar="NUMBER", help="With --balance: another choice of images.")]
WithoutLeaks = Annotated[
    bool,
    typer.Option("--without-leaks", help="Leave out pictures of validation and test that an earlier split has too."),
]
LeaveOutList = Annotated[
    str | None,
    typer.Option(
        "--leave-out",
        metavar="LIST",
        show_default=False,
        help="Leave out images: a file with a key in each line, or `fer2013-covered`, FER2013's faces behind hands.",
    ),
]
FilledUp = Annotated[
    list[str] | None,
    typer.Option(
        "--expression",
        "-e",
        metavar="NAME",
        show_default="all that set and model know; neutral only with --of any",
        help="Fill up this expression; repeatable.",
    ),
]
FilledTo = Annotated[
    int | None,
    typer.Option(
        "--count",
        metavar="NUMBER",
        min=1,
        show_default="as many as the most frequent has",
        help="Training images that each expression is to have.",
    ),
]
EditedIntensities = Annotated[
    str,
    typer.Option(
        "--intensity", "-i", metavar="FROM:TO", help="Each edit has its own intensity between these, 0.01 to 1."
    ),
]
EditedOrigin = Annotated[
    str,
    typer.Option(
        "--of",
        metavar="WHICH",
        help="Which training faces are edited: `neutral` ones, or `any` that look otherwise; then neutral is filled, too.",
    ),
]
EditsJudge = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        show_default=False,
        help="Take only edits in which this classifier sees what was asked: a run of `mien train-judge`, a .safetensors "
        "file or a shipped name, `judge-vgg16`.",
    ),
]
EditsSeed = Annotated[int, typer.Option("--seed", metavar="NUMBER", help="Another choice of faces and intensities.")]
ReportOut = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="REPORT", show_default=False, help="Folder for a report with pictures."),
]
Near = Annotated[
    bool,
    typer.Option(
        "--near/--no-near",
        help="Search for nearly the same and mirrored pictures too; takes long from 300,000 images on.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with code 1 where splits share pictures or subjects.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ImagesOut = Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="An empty or a new folder for the images.")]
Form = Annotated[str, typer.Option("--format", metavar="NAME", help="`folders` or `ganmut`.")]

# --- the study of detectors --------------------------------------------------------------------------------------

StudyData = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A folder of images, a CSV `path,expression`, Parquet, or `drawn`: faces with known truth."
    ),
]
StudyDetectors = Annotated[
    list[str] | None,
    typer.Option(
        "--detector", metavar="NAME", show_default="mtcnn and retinaface", help="A detector to try; repeatable."
    ),
]
StudyThresholds = Annotated[
    str, typer.Option("--threshold", metavar="NUMBERS", help="Comma-separated: the confidences to try.")
]
StudyPaddings = Annotated[
    str | None,
    typer.Option(
        "--padding",
        metavar="NUMBERS",
        show_default="what suits the detector",
        help="Comma-separated: by which share of its side an image that is cut round a face is continued.",
    ),
]
StudyFace = Annotated[
    str | None,
    typer.Option(
        "--face",
        metavar="WHICH",
        show_default="largest for drawn, else cut",
        help="`cut`: the images are cut round a face already; `largest` or `confident`: they are scenes.",
    ),
]
StudyLimit = Annotated[
    int | None, typer.Option("--limit", metavar="COUNT", min=1, help="Search so many images, evenly spaced.")
]
StudyOut = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", show_default=False, help="Folder for study.json, study.md, study.png."),
]

# --- films -------------------------------------------------------------------------------------------------------

Film = Annotated[Path, typer.Argument(metavar="FILM", help="MP4, MOV, MKV, WebM, AVI, GIF and what else ffmpeg reads.")]
FilmOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        show_default=False,
        help="Where to write the film: .mp4, .mov, .mkv, .webm; without sound .gif or .webp.",
    ),
]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        metavar="KEYFRAME",
        help="What to show at a time, `SECONDS:NAMES@INTENSITY` or `SECONDS:DEGREES@INTENSITY`; repeatable, in order.",
    ),
]
FilmFaces = Annotated[
    str,
    typer.Option(
        "--face", "-f", metavar="WHICH", help="`all`, `largest`, or a number from 1, as --list numbers the faces."
    ),
]
FilmProfiles = Annotated[
    str,
    typer.Option(
        "--profiles",
        metavar="WHICH",
        help="`skip` lets the edit fade out while a face turns to profile, since edits smear there; or `edit`.",
    ),
]
Smallest = Annotated[
    float | None,
    typer.Option(
        metavar="PIXELS",
        min=12,
        show_default="a thirty-second of the longer side",
        help="Side of the smallest face that is searched for; smaller takes longer.",
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        "--crf",
        metavar="NUMBER",
        min=0,
        max=63,
        show_default="18; for .webm 30",
        help="Quality of the encoder: lower is better and larger.",
    ),
]
ListFaces = Annotated[bool, typer.Option("--list", help="Only list the faces: number, time, place and size of each.")]
AnimationOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it: .gif, .webp, .mp4, .mov, .mkv, .webm.")
]
WalkPath = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="`disc` goes once round the disc, `sweep` from neutral to --expression and back."
    ),
]
Seconds = Annotated[float, typer.Option(metavar="NUMBER", min=0.2, max=60, help="Until it begins again.")]
AnimationSize = Annotated[
    int, typer.Option("--size", metavar="PIXELS", min=32, max=2160, help="Longer side; a smaller photo stays as it is.")
]
Camera = Annotated[str, typer.Option(metavar="NUMBER", help="Number of the camera, or the system's name for it.")]
CameraFilm = Annotated[
    Path | None, typer.Option("--film", metavar="FILE", show_default=False, help="Play a film as if it were a camera.")
]
LiveFaces = Annotated[str, typer.Option("--face", "-f", metavar="WHICH", help="`all` or `largest`.")]
Port = Annotated[int, typer.Option(metavar="NUMBER", min=0, max=65535, help="Of the page; 0 takes a free one.")]

# --- benchmarks --------------------------------------------------------------------------------------------------

Contestants = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help="Run folders, shipped names, files, and baselines.", show_default=False),
]
Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="A run of `mien train-judge`, a .safetensors file or a shipped name; repeatable. "
        "Without one, the judges that ship.",
        show_default=False,
    ),
]
WatchingJudges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="Log how this classifier judges edits of validation faces: a run of `mien train-judge`, a .safetensors file "
        "or a shipped name, `judge-vgg16`; repeatable.",
        show_default=False,
    ),
]
Guides = Annotated[
    list[str] | None,
    typer.Option(
        "--guide",
        metavar="CLASSIFIER",
        help="Let this classifier tell the generator, too, what its edits look like (weight: lambda_guide): a run of "
        "`mien train-judge` or a .safetensors file; repeatable. It can no longer judge the model.",
        show_default=False,
    ),
]
BenchOut = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="REPORT", help="The report's folder.", show_default=False)
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint",
        metavar="KIND:FILE",
        help="A checkpoint of the official code, `official-ganmut:G.ckpt` or `official-stargan:G.ckpt`; repeatable.",
        show_default=False,
    ),
]
Baselines = Annotated[
    bool,
    typer.Option(
        "--baselines",
        help="Measure the first model's untrained networks, the identity and an oracle of real photos too.",
    ),
]
ProtocolSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the protocol: faces=500, intensity=0.9, origin=any, seed=0 ..."
    ),
]
WithPictures = Annotated[
    bool, typer.Option("--pictures/--no-pictures", help="Show faces of the dataset in the report.")
]
Shown = Annotated[
    list[Path] | None,
    typer.Option(
        "--show",
        metavar="PHOTO",
        help="Show this photo's face in the report instead of the dataset's, whose licence may forbid it; repeatable.",
        show_default=False,
    ),
]
RequestsOut = Annotated[
    Path | None,
    typer.Option(
        "--write-requests",
        metavar="DIR",
        help="Write the faces and what is asked of them, for another program to answer, and stop.",
        show_default=False,
    ),
]
BenchDevice = Annotated[str, typer.Option("--device", help="Where networks run: cpu or cuda.")]

# --- experiments -------------------------------------------------------------------------------------------------

Experiment = Annotated[str, typer.Argument(metavar="NAME", help="`seed1` or `open`.")]
ExperimentOut = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of everything that it makes: sets, runs, the report.")
]
AffWild2 = Annotated[
    Path | None, typer.Option("--affwild2", metavar="DIR", help="seed1: where Aff-Wild2 lies.", show_default=False)
]
AffectNet = Annotated[
    Path | None, typer.Option("--affectnet", metavar="DIR", help="seed1: where AffectNet lies.", show_default=False)
]
OfficialGANmut = Annotated[
    Path | None,
    typer.Option(
        "--official-ganmut",
        metavar="FILE",
        help="seed1: the checkpoint G.ckpt of GANmut's authors, as the baseline.",
        show_default="a training on AffectNet",
    ),
]
ImageNet = Annotated[
    Path | None,
    typer.Option(
        "--imagenet",
        metavar="DIR",
        help="seed1: a folder with torchvision's weights of vgg16_bn and resnet50, from which the judges start.",
        show_default=False,
    ),
]
Sizes = Annotated[
    str | None,
    typer.Option("--sizes", metavar="PIXELS", help="seed1: comma-separated, sides of images.", show_default="64,128"),
]
FER2013 = Annotated[
    Path | None, typer.Option("--fer2013", metavar="PLACE", help="open: where FER2013 lies.", show_default=False)
]
FacesWild = Annotated[
    Path | None,
    typer.Option(
        "--faces-wild",
        metavar="PLACE",
        help="open: labelled faces in the wild, in any form that `mien prepare folder` takes.",
        show_default=False,
    ),
]
Scale = Annotated[
    str | None,
    typer.Option("--scale", metavar="NAME", help="open: `small` for a CPU, `full` for a GPU.", show_default="small"),
]
ExperimentJudges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="A run of `mien train-judge`, a .safetensors file or a shipped name; repeatable. Without one, seed1 trains "
        "two, and open takes those that ship.",
        show_default=False,
    ),
]
TrainingSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting of every generator's training; repeatable."),
]
ExperimentDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Where detectors run and the report is computed; trainings take a GPU where there is one.",
        show_default="cuda where there is one",
    ),
]
PlanOnly = Annotated[bool, typer.Option("--dry-run", help="Print every step with its expected time, and stop.")]
