"""What the pages say, in English and in Mongolian."""
# ruff: noqa: RUF001 - Mongolian is written in Cyrillic

from collections.abc import Callable

LANGUAGES = {"en": "English", "mn": "Монгол"}

_WORDS = {
    "title": ("Payment simulator", "Төлбөрийн симулятор"),
    "notice": ("This is a simulator. No money moves here.", "Энэ бол симулятор. Энд жинхэнэ мөнгө шилжихгүй."),
    "open_invoices": ("open invoices", "нээлттэй нэхэмжлэл"),
    "all_invoices": ("all invoices", "бүх нэхэмжлэл"),
    "none_open": (
        "Nothing is open. Ask your application for a pay-link, and it appears here.",
        "Нээлттэй нэхэмжлэл алга. Төлбөрийн холбоос үүсгэмэгц энд харагдана.",
    ),
    "to_list": ("All open invoices", "Нэхэмжлэлийн жагсаалт"),
    "reload": ("Reload", "Шинэчлэх"),
    "number": ("Number", "Дугаар"),
    "gateway": ("Gateway", "Төлбөрийн систем"),
    "merchant": ("Merchant", "Мерчант"),
    "amount": ("Amount", "Дүн"),
    "state": ("State", "Төлөв"),
    "issued": ("Issued", "Үүсгэсэн"),
    "time": ("Time", "Цаг"),
    "open": ("open", "нээлттэй"),
    "paid": ("paid", "төлсөн"),
    "state_paid": ("paid", "төлөгдсөн"),
    "canceled": ("cancelled", "цуцлагдсан"),
    "expired": ("expired", "хугацаа дууссан"),
    "outstanding": ("outstanding", "үлдэгдэл"),
    "qpay": ("QPay", "QPay"),
    "socialpay": ("SocialPay", "SocialPay"),
    "approval": ("Approval code", "Зөвшөөрлийн код"),
    "scan": ("Scan the QR, or choose your bank", "QR кодыг уншуулах эсвэл банкаа сонгоно уу"),
    "customer": ("The customer", "Төлөгч"),
    "pay_full": ("Pay in full", "Бүтэн төлөх"),
    "pay_part": ("Pay this part", "Энэ хэсгийг төлөх"),
    "part": ("Part, in ₮", "Хэсэг, ₮"),
    "pay_twice": ("Pay twice", "Хоёр удаа төлөх"),
    "pay_card": ("Pay by card", "Картаар төлөх"),
    "pay_fail": ("Let it fail", "Амжилтгүй болгох"),
    "pay_again": ("Pay all the same", "Тэгсэн ч төлөх"),
    "expire": ("Let it run out", "Хугацааг дуусгах"),
    "force": ("even if the gateway would refuse it", "Төлбөрийн систем зөвшөөрөхгүй байсан ч"),
    "callback": ("The callback", "Мэдэгдэл (callback)"),
    "callback_send": ("comes at once", "шууд ирнэ"),
    "callback_drop": ("never comes", "хэзээ ч ирэхгүй"),
    "callback_repeat": ("comes five times", "таван удаа ирнэ"),
    "callback_delay": ("comes 10 s late", "10 секунд хоцорно"),
    "callback_early": ("comes 10 s before the row is to be seen", "мөр харагдахаас 10 секундын өмнө ирнэ"),
    "payments": ("Payments", "Төлбөр"),
    "payment": ("Payment", "Төлбөрийн дугаар"),
    "way": ("Way", "Хэлбэр"),
    "P2P": ("bank transfer", "банкны шилжүүлэг"),
    "CARD": ("card", "карт"),
    "status": ("Status", "Төлөв"),
    "refund": ("Refund", "Буцаах"),
    "calls": ("What was called, and answered", "Дуудлага ба хариу"),
    "callbacks": ("Callbacks, and what they were answered", "Мэдэгдэл ба хариу"),
    "pending": ("under way", "явж байна"),
    "call": ("Call", "Дуудлага"),
    "answer": ("Answer", "Хариу"),
    "fault": ("Fault", "Санаатай алдаа"),
    "no_answer": ("no answer", "хариугүй"),
    "nothing_yet": ("Nothing yet.", "Одоогоор алга."),
    "clock": ("Ulaanbaatar time here", "Симуляторын цаг (Улаанбаатар)"),
    "seed": ("Faults are drawn from seed", "Санаатай алдааны seed"),
    "faults_on": ("rules", "дүрэм"),
    "faults_off": ("none are on", "унтраалттай"),
    "not_paid": ("Not paid", "Төлөгдсөнгүй"),
    "not_refunded": ("Not refunded", "Буцаагдсангүй"),
    "bad_amount": ("The part should be a whole number of tögrög", "Хэсэг нь бүхэл төгрөг байх ёстой"),
    "not_found": ("There is no such thing here", "Энд ийм зүйл алга"),
}


def words_in(language: str) -> Callable[[str], str]:
    """Return what says each word in this language."""
    position = list(LANGUAGES).index(language)
    return lambda word: _WORDS[word][position]
