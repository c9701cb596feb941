// SPDX-License-Identifier: MIT
// hello - prints which evy this program carries.
import Evy

print("evy \(Library.version)")
