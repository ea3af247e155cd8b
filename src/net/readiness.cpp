#include "pgmend/net/readiness.hpp"

namespace pgmend::net {

readiness::readiness(loop& where, int descriptor) : loop_{&where}, it_{std::make_unique<loop::watched>()} {
    it_->descriptor = descriptor;
    where.watch(*it_);
}

void readiness::remove() {
    if (!it_) return;
    loop_->forget(*it_);
    it_.reset();
}

} // namespace pgmend::net
