#!/bin/sh
# Makes a Chromium whose software adapter has `shader-f16`, which SwiftShader lacks: Debian's Chromium with Mesa's llvmpipe in SwiftShader's place. For Debian 12
# with the packages `chromium` and `gcc`; nothing is installed. Mesa 22.3 of Debian 12 itself is refused by Dawn (shaderUniform*ArrayDynamicIndexing), so it comes
# from the backports.
#
#   sh packages/dev/half-adapter/make.sh /tmp/half
#   TABSERVE_CHROMIUM=/tmp/half/chromium npm test -- --project=browser -g halves
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
mkdir -p "$out/lists/partial" "$out/debs" "$out/browser"

for suite in bookworm bookworm-backports; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main"
done > "$out/sources.list"
own_apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$out/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$out/lists" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User="$(id -un)" "$@"
}
own_apt update
(cd "$out/debs" && own_apt download libvulkan1 libllvm15 libz3-4 \
  mesa-vulkan-drivers/bookworm-backports libdrm2/bookworm-backports libdrm-amdgpu1/bookworm-backports)
for package in "$out"/debs/*.deb; do dpkg -x "$package" "$out"; done
libraries=$out/usr/lib/x86_64-linux-gnu

cp -r /usr/lib/chromium/. "$out/browser"
gcc -shared -fPIC -O1 -o "$out/browser/libvk_swiftshader.so" "$here/renamed-driver.c" -ldl
cat > "$out/driver.json" <<END
{"file_format_version": "1.0.0", "ICD": {"library_path": "$libraries/libvulkan_lvp.so", "api_version": "1.4.305"}}
END
cp "$out/driver.json" "$out/browser/vk_swiftshader_icd.json"
cat > "$out/chromium" <<END
#!/bin/sh
export LD_LIBRARY_PATH=$libraries VULKAN_LOADER=$libraries/libvulkan.so.1
export VK_DRIVER_FILES=$out/driver.json VK_ICD_FILENAMES=$out/driver.json
exec $out/browser/chromium "\$@"
END
chmod +x "$out/chromium"
echo "$out/chromium"
