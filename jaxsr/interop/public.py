"""The public weights that `jaxsr fetch` knows: where they lie, whose they are, what bytes they are.

Each address and each sha256 is copied from public pages, none from memory. A sha256 was found on
several that have nothing to do with each other; the one named here states it beside the file's
address or name. Where none was found, it is empty: whoever fetches the file gives it or confirms.
"""

from typing import NamedTuple

_REAL_ESRGAN = "https://github.com/xinntao/Real-ESRGAN/releases/download"
_TORCHVISION = "https://download.pytorch.org/models"
_LPIPS = (
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity"
    "/082bb24f84c091ea94de2867d34c4544f68e0963/lpips/weights/v0.1"
)

# The addresses in Real-ESRGAN's releases are those of its docs/model_zoo.md and README.
_REAL_ESRGAN_HASHES = (
    "https://github.com/dmlsrc/LTX-2-MLX/blob/f7dd6ef3fee8d0644e629571e4425b88e6f200d8"
    "/LTX_2_MLX/videotoolbox/realesrgan/weights/README.md"
)
_PSNR_HASH = (  # Hugging Face serves the files of a commit below /resolve/
    "https://huggingface.co/databuzzword/esrgan/commit/bc7c483933e234850fe76a1578935cf8603ff51b"
)
# In torchvision's and BasicSR's names the digits after the dash are the first of the sha256.
_VGG_HASHES = (
    "https://github.com/LibreYOLO/libreyolo/blob/7d0456769d2ee4c27fb801e3222975fdab8c7013"
    "/docs/provenance/vgg.md"
)
_ALEXNET_HASH = "https://huggingface.co/LibreYOLO/LibreAlexNetb-cls"
_LPIPS_HASHES = "https://pypi.org/project/lpips/0.1.4/"  # the RECORD in its wheel

# The licence of torchvision's code; of the weights themselves it states none.
_OF_TORCHVISION = "BSD-3-Clause (torchvision)"


class PublicFile(NamedTuple):
    """A file of weights on a public server."""

    what: str
    url: str
    licence: str
    size: int | None = None  # bytes
    sha256: str = ""
    page: str = ""  # that states the sha256


PUBLIC = {
    "RealESRGAN_x4plus": PublicFile(
        "Real-ESRGAN x4 for photographs, RRDBNet of 23 blocks",
        f"{_REAL_ESRGAN}/v0.1.0/RealESRGAN_x4plus.pth",
        "BSD-3-Clause",
        67040989,
        "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
        _REAL_ESRGAN_HASHES,
    ),
    "RealESRGAN_x2plus": PublicFile(
        "Real-ESRGAN x2 for photographs, RRDBNet of 23 blocks",
        f"{_REAL_ESRGAN}/v0.2.1/RealESRGAN_x2plus.pth",
        "BSD-3-Clause",
        67061725,
        "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        _REAL_ESRGAN_HASHES,
    ),
    "RealESRGAN_x4plus_anime_6B": PublicFile(
        "Real-ESRGAN x4 for drawings, RRDBNet of 6 blocks",
        f"{_REAL_ESRGAN}/v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
        "BSD-3-Clause",
        17938799,
        "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
        _REAL_ESRGAN_HASHES,
    ),
    "realesr-general-x4v3": PublicFile(
        "Real-ESRGAN x4, small and fast, SRVGGNetCompact of 32 layers",
        f"{_REAL_ESRGAN}/v0.2.5.0/realesr-general-x4v3.pth",
        "BSD-3-Clause",
        4885111,
        "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        _REAL_ESRGAN_HASHES,
    ),
    "realesr-general-wdn-x4v3": PublicFile(
        "its sibling of another denoising strength, to blend with",
        f"{_REAL_ESRGAN}/v0.2.5.0/realesr-general-wdn-x4v3.pth",
        "BSD-3-Clause",
        4885111,
        "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
        _REAL_ESRGAN_HASHES,
    ),
    "RealESRNet_x4plus": PublicFile(
        "what RealESRGAN_x4plus was before its GAN training, smooth",
        f"{_REAL_ESRGAN}/v0.1.1/RealESRNet_x4plus.pth",
        "BSD-3-Clause",
        67040989,
        "a820b9bde89a874d7599d545567308ce6c128fc8754a53208eda016d40aa81df",
        _REAL_ESRGAN_HASHES,
    ),
    "RealESRGAN_x4plus_netD": PublicFile(
        "the discriminator of RealESRGAN_x4plus, for fine-tuning",
        f"{_REAL_ESRGAN}/v0.2.2.3/RealESRGAN_x4plus_netD.pth",
        "BSD-3-Clause",
    ),
    "ESRGAN_x4": PublicFile(
        "ESRGAN x4 for bicubic input, RRDBNet of 23 blocks",
        f"{_REAL_ESRGAN}/v0.1.1/ESRGAN_SRx4_DF2KOST_official-ff704c30.pth",
        "Apache-2.0",
        None,
        "ff704c30ff560305e48ed1f4db895e525ab6bc81a46fafe80c0094a271c806d9",
        _REAL_ESRGAN_HASHES,
    ),
    "RRDB_PSNR_x4": PublicFile(
        "ESRGAN's network trained for PSNR, x4, smooth",
        "https://huggingface.co/databuzzword/esrgan/resolve"
        "/bc7c483933e234850fe76a1578935cf8603ff51b/RRDB_PSNR_x4.pth",
        "Apache-2.0",
        66929193,
        "f372b59f22929e1bc83fa58d78215c96f976de3b2eaeee736da1b348913da6cc",
        _PSNR_HASH,
    ),
    "vgg19": PublicFile(
        "VGG19 for perceptual losses",
        f"{_TORCHVISION}/vgg19-dcbb9e9d.pth",
        _OF_TORCHVISION,
        574673361,
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        _VGG_HASHES,
    ),
    "vgg16": PublicFile(
        "VGG16 for perceptual losses and LPIPS",
        f"{_TORCHVISION}/vgg16-397923af.pth",
        _OF_TORCHVISION,
        553433881,
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        _VGG_HASHES,
    ),
    "alexnet": PublicFile(
        "AlexNet for LPIPS",
        f"{_TORCHVISION}/alexnet-owt-7be5be79.pth",
        _OF_TORCHVISION,
        244408911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        _ALEXNET_HASH,
    ),
    "lpips-alex": PublicFile(
        "the heads of LPIPS v0.1 on alexnet",
        f"{_LPIPS}/alex.pth",
        "BSD-2-Clause",
        6009,
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        _LPIPS_HASHES,
    ),
    "lpips-vgg": PublicFile(
        "the heads of LPIPS v0.1 on vgg16",
        f"{_LPIPS}/vgg.pth",
        "BSD-2-Clause",
        7289,
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        _LPIPS_HASHES,
    ),
}
