// SPDX-License-Identifier: MIT
// OptionFuzz - looks for an option value that traps, half changes, or is not what it says it is.
// Room: fuzzing.

private let names = Options.table.map { "\($0.name)" }
private let standard = all(Options())

private func all(_ options: Options) -> [String?] { names.map { options.get($0) } }

/// One line, short, whatever the value was.
private func check(_ error: OptionError, _ key: String) {
    require(error.text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }, "an error that breaks its line")
    require(error.text.utf8.count < 800, "an error as long as a file")
    require(error.isUnknown == (Options.find(key) == nil))
}

/// Runs a change: the options are as before, or the option's text gives them again, and no other changed.
private func change(_ key: String, _ body: (inout Options) throws(OptionError) -> Void) {
    var options = Options()
    do throws(OptionError) {
        try body(&options)
    } catch {
        check(error, key)
        return require(options.get(key) == Options().get(key), "a refused value that changed something")
    }
    guard let text = options.get(key) else { fatalError("took an unknown option") }
    let after = all(options)
    let others = names.indices.filter { names[$0] != key && after[$0] != standard[$0] }
    require(others.isEmpty, "changed another option")
    var again = Options()
    do throws(OptionError) {
        try again.set(key, text)
    } catch { fatalError("refuses its own text") }
    require(again.get(key) == text, "its own text says something else")
}

private func checkNumbers(_ number: Int64) {
    let size = number & Int64.max
    require(OptionValue.size(OptionValue.sizeText(size)) == size, "another size")
    require(OptionValue.time(OptionValue.timeText(size)) == size, "another time")
    require(OptionValue.wholeNumber("\(number)") == number || number == .min, "another number")
}

private func checkText(_ text: String) {
    for value in [OptionValue.size(text), OptionValue.time(text)] {
        guard let value, value >= 0 else { continue }
        require(text.utf8.first.map { $0 == 0x2d || ASCII.isDigit($0) } == true, "a number out of nothing")
        require(value == 0 || !text.hasPrefix("-"), "a sign that is not there")
    }
    if AddressList.fault(text) == nil {
        let words = text.split { $0 == "," || $0 == " " || $0 == "\t" }
        require(AddressList.rules(text).count == words.count, "fewer rules than words")
    }
    let quoted = OptionValue.quoted(text)
    require(quoted.utf8.first == 0x22 && quoted.utf8.last == 0x22 && quoted.unicodeScalars.count <= 65)
}

@Sendable func fuzzOption(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let choice = input.byte()
    let row = Options.table[Int(input.byte()) % Options.table.count]
    switch choice & 3 {
    case 0:
        let text = String(decoding: input.all(), as: UTF8.self)
        change("\(row.name)") { (options) throws(OptionError) in try options.set("\(row.name)", text) }
    case 1:
        let number = input.number() >> (Int64(choice >> 2) & 63)
        checkNumbers(number)
        change("\(row.name)") { (options) throws(OptionError) in
            try options.set("\(row.name)", number: number)
        }
    case 2:
        let key = String(decoding: input.bytes(), as: UTF8.self)
        let text = String(decoding: input.all(), as: UTF8.self)
        change(key) { (options) throws(OptionError) in try options.set(key, text) }
    default: checkText(String(decoding: input.all(), as: UTF8.self))
    }
}
