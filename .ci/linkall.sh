#!/bin/sh
# SPDX-License-Identifier: MIT
# A file that takes the address of every function of evy.h compiles as C11 and C++, and links with LIBRARY.
set -eu
library=$1
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{
    echo '#include <evy.h>'
    echo 'typedef void (*any_function)(void);'
    echo 'extern any_function volatile all_functions[];'
    echo 'any_function volatile all_functions[] = {'
    sed -n 's/^EVY_API .*[ *]\(evy_[a-z0-9_]*\)(.*/    (any_function)\1,/p' Include/evy.h
    echo '};'
    echo 'int main(void) { return all_functions[0] == 0; }'
} > "$folder/all.c"
warnings='-Wall -Wextra -Wpedantic -Werror -Wno-cast-function-type'
"${CC:-cc}" -std=c11 $warnings -Wstrict-prototypes -IInclude "$folder/all.c" "$library" -o "$folder/as-c"
"${CXX:-c++}" -x c++ -std=c++11 $warnings -IInclude -c "$folder/all.c" -o "$folder/all.o"
"${CXX:-c++}" "$folder/all.o" "$library" -o "$folder/as-cxx"
echo "$(grep -c any_function\) "$folder/all.c") functions link from C and C++"
