# Spack recipe of ftrun. Put this folder into a repository of your own:
#
#   spack repo create ~/spack-local local && spack repo add ~/spack-local
#   mkdir -p ~/spack-local/packages/ftrun && cp packages/spack/package.py ~/spack-local/packages/ftrun
#   spack dev-build ftrun@main        # from the source tree
#
# Copyright: the ftrun developers. SPDX-License-Identifier: Apache-2.0
from spack.package import *


class Ftrun(MesonPackage):
    """Fine-tunes language models of 7 to 70 billion parameters on CPU clusters, under MPI, with the same result on
    any number of ranks."""

    maintainers = []
    license("Apache-2.0")

    version("main")

    variant("tests", default=False, description="Builds the unit tests, which need cmocka")

    depends_on("c", type="build")
    depends_on("meson@1:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("openmpi@4.1:")
    depends_on("onednn@2.6: cpu_runtime=omp")
    depends_on("openblas threads=pthreads")
    depends_on("hwloc@2:")
    depends_on("cjson")
    depends_on("pcre2")
    depends_on("utf8proc")
    depends_on("xxhash")
    depends_on("libmd")
    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("hdf5~mpi")
    depends_on("cmocka", when="+tests")

    def meson_args(self):
        return ["-Dbuildtype=release", "-Dtests=" + ("true" if self.spec.satisfies("+tests") else "false")]

    def setup_run_environment(self, env):
        env.prepend_path("PATH", join_path(self.prefix.share, "ftrun", "launch"))
